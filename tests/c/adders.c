/*
 * adders.c - the functions of lanes.h against slow ones that count each lane for itself. One source, many
 * executors: natively, with sanitizers, on emulated cores; each in C and, where there is one, in assembly.
 * Ends with 0 when all hold, else prints each failure and ends with 1.
 */
#include <string.h>

#include "patterns/lanes.h"
#include "random_checks.h"

#define LANES  (32u * BF_LANE_WORDS)
#define PLANES 1200u
#define GUARD  0xA5A5A5A5u

static uint32_t bit(const void *lanes, uint32_t lane) {
    return ((const uint32_t *)lanes)[lane / 32u] >> (lane % 32u) & 1u;
}

static void put_bit(bf_lanes *lanes, uint32_t lane, uint32_t value) {
    uint32_t *word = &((uint32_t *)lanes)[lane / 32u];
    *word = (*word & ~(1u << (lane % 32u))) | value << (lane % 32u);
}

static uint32_t count_of(const bf_count *count, uint32_t lane) {
    uint32_t value = 0;
    for (uint32_t i = 0; i < BF_COUNT_DIGITS; i++) {
        value |= bit(&count->digit[i], lane) << i;
    }
    return value;
}

static void put_count(bf_count *count, uint32_t lane, uint32_t value) {
    for (uint32_t i = 0; i < BF_COUNT_DIGITS; i++) {
        put_bit(&count->digit[i], lane, value >> i & 1u);
    }
}

/* ---- Lists. ---- */

static bf_lanes planes[PLANES];
static struct {
    bf_count count[BF_PATTERNS + 1u];
    uint32_t guard;
} counted;
static uint16_t list[3000];
static uint16_t entries[3000]; /* numbers of the planes that the list names, pattern after pattern */
static uint32_t ends[BF_PATTERNS];

static void random_planes(uint32_t kind) {
    uint32_t *word = (uint32_t *)planes;
    for (uint32_t i = 0; i < PLANES * BF_LANE_WORDS; i++) {
        word[i] = kind == 0 ? 0xFFFFFFFFu : kind == 1 ? rnd() & rnd() & rnd() : rnd();
    }
}

static uint16_t *list16(uint16_t *to, uint32_t runs, uint32_t *n) {
    for (uint32_t i = 0; i < runs * BF_RUN; i++) {
        entries[*n] = (uint16_t)below(PLANES < 65536u / sizeof *planes ? PLANES : 65536u / sizeof *planes);
        *to++ = (uint16_t)(entries[(*n)++] * sizeof *planes);
    }
    return to;
}

static uint16_t *list8(uint16_t *to, uint32_t runs, uint32_t *n) {
    uint8_t *byte = (uint8_t *)to;
    uint32_t base = 0;
    for (uint32_t i = 0; i < runs * BF_RUN; i++) {
        const uint32_t left = PLANES - base;
        const uint32_t distance = below(left < 256u ? left : below(3) ? 20u : 256u);
        entries[(*n)++] = (uint16_t)(base + distance);
        *byte++ = (uint8_t)distance;
        base += i % BF_RUN == BF_RUN - 1u ? distance : 0;
    }
    return (uint16_t *)(void *)byte;
}

/* Numbers of runs: none, each remainder of the loop, long ones. */
static uint32_t some_runs(uint32_t most) {
    static const uint8_t runs[] = {0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 18, 27, 60};
    const uint32_t found = runs[below(sizeof runs)];
    return found < most ? found : most;
}

static void lists_must_add_up(uint32_t bits, uint32_t patterns, uint32_t kind) {
    uint32_t first[LANES];
    uint32_t n = 0;
    uint16_t *to = list;
    const void *end;
    random_planes(kind);
    for (uint32_t c = 0; c < patterns; c++) {
        const uint32_t most = (4095u - n) / BF_RUN < 60u ? (2900u - n) / BF_RUN : 60u;
        const uint32_t runs = n < 2300u ? some_runs(most) : 0;
        if (bits == 16u) {
            *to++ = (uint16_t)runs;
            to = list16(to, runs, &n);
        } else {
            const uint32_t wide = below(3) ? 0 : some_runs(runs);
            *to++ = (uint16_t)((runs - wide) | wide << 8);
            to = list8(to, runs - wide, &n);
            to = list16(to, wide, &n);
        }
        ends[c] = n;
    }
    uint32_t start = below(8) ? below(4096u - n) : 4095u - n;
    memset(&counted, 0x5A, sizeof counted);
    counted.guard = GUARD;
    for (uint32_t lane = 0; lane < LANES; lane++) {
        first[lane] = start;
    }
    if (below(3) == 0) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            first[lane] = below(4096u - n);
            put_count(&counted.count[0], lane, first[lane]);
        }
        start = BF_START_IS_SET | below(4096u);
    }
    start |= BF_START(0, patterns);
    if (bits == 16u) {
        end = bf_add_lists16(planes, list, counted.count, start);
    } else {
        end = bf_add_lists8(planes, list, counted.count, start);
    }
    CHECK(end == to, "%u bits, %u patterns", (unsigned)bits, (unsigned)patterns);
    CHECK(counted.guard == GUARD, "%u bits, %u patterns", (unsigned)bits, (unsigned)patterns);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        uint32_t sum = first[lane];
        for (uint32_t c = 0, i = 0; c < patterns; c++) {
            for (; i < ends[c]; i++) {
                sum += bit(&planes[entries[i]], lane);
            }
            CHECK(count_of(&counted.count[c], lane) == sum, "%u bits, start %#x, pattern %u of %u, lane %u: %u, not %u",
                  (unsigned)bits, (unsigned)start, (unsigned)c, (unsigned)patterns, (unsigned)lane,
                  (unsigned)count_of(&counted.count[c], lane), (unsigned)sum);
        }
    }
}

/* ---- Comparisons. ---- */

/* Counts that only grow, below 2^digits: among them none, all, and such as differ in one pattern alone. */
static void random_counts(uint32_t digits) {
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t full = 1u << digits;
        uint32_t left = below(4) ? below(full) : full - 1u;
        uint32_t sum = below(4) ? below(left + 1u) : 0;
        left -= sum;
        for (uint32_t c = 0; c < BF_PATTERNS; c++) {
            const uint32_t more = below(3) ? below(left / (BF_PATTERNS - c) + 1u) : below(4) ? 0 : left;
            put_count(&counted.count[c], lane, sum += more);
            left -= more;
        }
    }
}

static int32_t value_of(uint32_t j, uint32_t lane) {
    int32_t c[BF_PATTERNS];
    for (uint32_t k = 0; k < BF_PATTERNS; k++) {
        c[k] = (int32_t)count_of(&counted.count[k], lane);
    }
    return j == 1 ? 2 * c[3] - c[7] : j == 2 ? c[7] + 2 * (c[1] - c[5]) : c[7] + 2 * (c[0] - c[2] + c[4] - c[6]);
}

/* A limit: often that of a lane, or one beside it. */
static int32_t random_limit(uint32_t j, uint32_t digits) {
    const int32_t full = (int32_t)(1u << digits);
    int32_t limit = value_of(j, below(LANES)) - 1 + (int32_t)below(3);
    if (below(8) == 0) {
        limit = below(2) ? -full : full - 1;
    } else if (below(4) == 0) {
        limit = (int32_t)below(2u * (uint32_t)full) - full;
    }
    return limit < -full ? -full : limit >= full ? full - 1 : limit;
}

static int32_t limit_of[3][LANES];

static void check_result(const bf_lanes *to, uint32_t digits) {
    for (uint32_t lane = 0; lane < LANES; lane++) {
        const uint32_t below_half = count_of(&counted.count[7], lane) < 1u << (digits - 1u);
        CHECK(bit(&to[0], lane) == below_half, "digits %u, lane %u", (unsigned)digits, (unsigned)lane);
        for (uint32_t j = 1; j < BF_QUAD; j++) {
            const int32_t value = value_of(j, lane);
            CHECK(bit(&to[j], lane) == (value <= limit_of[j - 1u][lane]), "filter %u, digits %u, lane %u: %d and %d",
                  (unsigned)j, (unsigned)digits, (unsigned)lane, (int)value, (int)limit_of[j - 1u][lane]);
        }
    }
    CHECK(bit(&to[BF_QUAD], 0) == (GUARD & 1u) && ((const uint32_t *)&to[BF_QUAD])[0] == GUARD, "written behind");
}

static void comparison_must_hold(uint32_t digits) {
    bf_lanes to[BF_QUAD + 1u];
    uint16_t limits[3];
    for (uint32_t j = 0; j < 3; j++) {
        const int32_t limit = random_limit(j + 1u, digits);
        limits[j] = (uint16_t)BF_LIMIT(limit, digits);
        for (uint32_t lane = 0; lane < LANES; lane++) {
            limit_of[j][lane] = limit;
        }
    }
    *(uint32_t *)&to[BF_QUAD] = GUARD;
    bf_compare(counted.count, limits, digits, to);
    check_result(to, digits);
}

static void comparison_of_each_lane_must_hold(uint32_t digits) {
    bf_lanes to[BF_QUAD + 1u];
    bf_lanes table[64];
    uint32_t limits[3][3];
    uint8_t set_of[LANES];
    memset(limits, 0, sizeof limits);
    for (uint32_t lane = 0; lane < LANES; lane++) {
        set_of[lane] = (uint8_t)below(6);
        for (uint32_t x = 0; x < 64u; x++) {
            put_bit(&table[x], lane, x >> set_of[lane] & 1u);
        }
    }
    for (uint32_t j = 0; j < 3; j++) {
        for (uint32_t set = 0; set < 6u; set++) {
            const int32_t limit = random_limit(j + 1u, digits);
            for (uint32_t i = 0; i <= digits; i++) {
                limits[j][i / 5u] |= (BF_LIMIT(limit, digits) >> i & 1u) << (6u * (i % 5u) + set);
            }
            for (uint32_t lane = 0; lane < LANES; lane++) {
                limit_of[j][lane] = set_of[lane] == set ? limit : limit_of[j][lane];
            }
        }
    }
    *(uint32_t *)&to[BF_QUAD] = GUARD;
    bf_compare_each(counted.count, &limits[0][0], digits, table, to);
    check_result(to, digits);
}

/* ---- Planes. ---- */

static void planes_must_be_those_of_the_row(uint32_t shift, uint32_t channels) {
    static uint32_t map[200];
    const uint32_t *from;
    uint32_t words;
    bf_row row;
    row.stride = BF_LANE_WORDS + below(20);
    row.shift = shift;
    row.channels = channels;
    words = channels ? (channels - 1u) * row.stride + BF_LANE_WORDS + (shift == 31u ? 2u : 1u) : 0;
    from = map + sizeof map / sizeof *map - words; /* a word read behind is seen by a sanitizer */
    for (uint32_t i = 0; i < sizeof map / sizeof *map; i++) {
        map[i] = rnd();
    }
    for (uint32_t i = 0; i < 3u * BF_LANE_WORDS; i++) {
        ((uint32_t *)row.mask)[i] = below(3) ? rnd() : 0xFFFFFFFFu;
    }
    memset(planes, 0x5A, sizeof planes);
    CHECK(bf_planes_of_row(planes, from, &row) == planes + 6u * channels, "%u channels", (unsigned)channels);
    CHECK(((uint32_t *)&planes[6u * channels])[0] == 0x5A5A5A5Au, "written behind %u channels", (unsigned)channels);
    for (uint32_t i = 0; i < 3u * channels; i++) {
        for (uint32_t lane = 0; lane < LANES; lane++) {
            const uint32_t at = i / 3u * row.stride * 32u + shift + i % 3u + lane;
            const uint32_t want = bit(&row.mask[i % 3u], lane) & bit(from, at);
            CHECK(bit(&planes[2u * i], lane) == want && bit(&planes[2u * i + 1u], lane) == !want,
                  "shift %u, plane %u, lane %u", (unsigned)shift, (unsigned)i, (unsigned)lane);
        }
    }
}

/* ---- Registers. ---- */

#if defined(__thumb__)

/* Five arguments; what r8 .. r11, r4 .. r7 hold before the call; what they hold after it; so for d8 .. d15. */
static uintptr_t call[5 + 8 + 8 + 16 + 16];

#if defined(__ARM_FEATURE_MVE)
#define LOAD_VECTORS "add r4, r3, #84\nvldm r4, {d8-d15}\n"
#define SAVE_VECTORS "add r4, r0, #148\nvstm r4, {d8-d15}\n"
#else
#define LOAD_VECTORS
#define SAVE_VECTORS
#endif

static void must_keep_registers(const char *name, uintptr_t function) {
    for (unsigned i = 0; i < 8u; i++) {
        call[5u + i] = rnd();
        call[21u + 2u * i] = rnd();
    }
    register uintptr_t r0 __asm__("r0") = function;
    register uintptr_t r1 __asm__("r1") = (uintptr_t)call;
    __asm__ volatile(".syntax unified\n"
                     "mov r12, r0\n"
                     "movs r3, r1\n"
                     "sub sp, #8\n" LOAD_VECTORS "ldr r0, [r3, #16]\n"
                     "str r0, [sp]\n"
                     "str r3, [sp, #4]\n"
                     "adds r3, #20\n"
                     "ldm r3!, {r4-r7}\n"
                     "mov r8, r4\n"
                     "mov r9, r5\n"
                     "mov r10, r6\n"
                     "mov r11, r7\n"
                     "ldm r3!, {r4-r7}\n"
                     "subs r3, #52\n"
                     "ldm r3!, {r0-r2}\n"
                     "ldr r3, [r3]\n"
                     "blx r12\n"
                     "ldr r0, [sp, #4]\n"
                     "add sp, #8\n"
                     "mov r12, r0\n"
                     "adds r0, #68\n"
                     "stm r0!, {r4-r7}\n"
                     "subs r0, #32\n"
                     "mov r4, r8\n"
                     "mov r5, r9\n"
                     "mov r6, r10\n"
                     "mov r7, r11\n"
                     "stm r0!, {r4-r7}\n"
                     "mov r0, r12\n" SAVE_VECTORS
                     : "+r"(r0), "+r"(r1)
                     :
                     : "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory"
#if defined(__ARM_FEATURE_MVE)
                       ,
                       "d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8", "d9", "d10", "d11", "d12", "d13", "d14",
                       "d15"
#endif
    );
    CHECK(memcmp(&call[5], &call[13], 8u * sizeof *call) == 0, "%s", name);
#if defined(__ARM_FEATURE_MVE)
    CHECK(memcmp(&call[21], &call[37], 16u * sizeof *call) == 0, "%s", name);
#endif
}

static void functions_must_keep_registers(void) {
    static const uint16_t limits[3];
    static const uint32_t words[9];
    static bf_lanes table[64], to[BF_QUAD];
    static bf_row row;
    memset(list, 0, sizeof list);
    list[0] = 5;
    call[0] = (uintptr_t)planes;
    call[1] = (uintptr_t)list;
    call[2] = (uintptr_t)counted.count;
    call[3] = BF_START(7, BF_PATTERNS);
    must_keep_registers("bf_add_lists16", (uintptr_t)bf_add_lists16);
    must_keep_registers("bf_add_lists8", (uintptr_t)bf_add_lists8);
    for (uint32_t digits = 9; digits < 11u; digits++) {
        call[0] = (uintptr_t)counted.count;
        call[1] = (uintptr_t)limits;
        call[2] = digits;
        call[3] = (uintptr_t)to;
        must_keep_registers("bf_compare", (uintptr_t)bf_compare);
        call[1] = (uintptr_t)words;
        call[3] = (uintptr_t)table;
        call[4] = (uintptr_t)to;
        must_keep_registers("bf_compare_each", (uintptr_t)bf_compare_each);
    }
    row.channels = 2;
    for (row.shift = 30; row.shift < 32u; row.shift++) {
        call[0] = (uintptr_t)planes;
        call[1] = (uintptr_t)list;
        call[2] = (uintptr_t)&row;
        must_keep_registers("bf_planes_of_row", (uintptr_t)bf_planes_of_row);
    }
}

#endif

int main(void) {
#if defined(__thumb__)
    functions_must_keep_registers();
#endif
    for (uint32_t i = 0; i < 150u; i++) {
        lists_must_add_up(i & 1u ? 8u : 16u, i % 3u == 0 ? 1u : i % 5u == 0 ? 3u : BF_PATTERNS, below(8));
    }
    for (uint32_t digits = 4; digits <= BF_COUNT_DIGITS; digits++) {
        for (uint32_t i = 0; i < 20u; i++) {
            random_counts(digits);
            comparison_must_hold(digits);
            comparison_of_each_lane_must_hold(digits);
        }
    }
    for (uint32_t shift = 0; shift < 32u; shift++) {
        planes_must_be_those_of_the_row(shift, shift % 7u);
        planes_must_be_those_of_the_row(shift, 1u + shift % 2u);
        planes_must_be_those_of_the_row(31, 4); /* assembly for itself */
    }
    printf("%d failures\n", failures);
    return failures != 0;
}
