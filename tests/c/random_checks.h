/*
 * random_checks.h - what the programs that compare with slow forms share: random numbers, and a check that says where.
 */
#ifndef RANDOM_CHECKS_H
#define RANDOM_CHECKS_H

#include <stdint.h>
#include <stdio.h>

static int failures;

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            if (failures++ < 20) {                                                                                     \
                printf("%d: %s: ", __LINE__, #condition);                                                              \
                printf(__VA_ARGS__);                                                                                   \
                printf("\n");                                                                                          \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static uint32_t state = 12345;

static uint32_t rnd(void) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static uint32_t below(uint32_t n) {
    return (rnd() >> 4) % n;
}

#endif
