/*
 * lists.c - bf_append_words(), the lists of bf_make_list(), and what blocks are made of, bf_planes_of_tap() and
 * bf_look_up(), against slow ones that look at input after input. One source, many executors: natively, with
 * sanitizers, on emulated cores; each in C and, where there is one, in assembly. Ends with 0 when all hold, else prints
 * each failure and ends with 1.
 */
#include <string.h>

#include "patterns/blocks.h"
#include "patterns/border.h"
#include "patterns/lists.h"
#include "patterns/sort.h"
#include "random_checks.h"

#define WORDS 40u
#define GUARD 0xA5A5u

/* Where each pattern stands in a list, by which of the filters 1, 2, 3 differ from filter 0: 4, 2, 1. */
static const uint8_t order_of[BF_PATTERNS] = {0, 1, 3, 2, 7, 6, 4, 5};

static struct {
    int32_t shift[256];
    uint32_t weights[256 * WORDS];
} image;

static uint32_t weight(uint32_t f, uint32_t words, uint32_t i) {
    return image.weights[f * words + i / 32u] >> i % 32u & 1u;
}

static uint32_t pattern_of(const uint16_t *rows, uint32_t words, uint32_t i) {
    const uint32_t zero = weight(rows[0], words, i);
    const uint32_t pattern = (weight(rows[1], words, i) ^ zero) << 2 | (weight(rows[2], words, i) ^ zero) << 1 |
                             (weight(rows[3], words, i) ^ zero);
    return order_of[pattern];
}

/* Weights of all kinds: any, mostly equal, all of one kind in a filter. Those behind the last input are 0. */
static void random_weights(uint32_t filters, uint32_t inputs) {
    const uint32_t words = bf_words(inputs);
    for (uint32_t f = 0; f < filters; f++) {
        const uint32_t kind = below(5);
        for (uint32_t i = 0; i < words; i++) {
            const uint32_t any = kind == 0 ? 0u : kind == 1 ? 0xFFFFFFFFu : kind == 2 ? rnd() & rnd() & rnd() : rnd();
            image.weights[f * words + i] = i + 1u < words ? any : any & bf_tail_mask(inputs);
        }
    }
}

static void words_must_be_appended(uint32_t words, uint32_t taps, uint32_t mask) {
    static uint16_t found[BF_PATTERNS][32u * WORDS + 1u], want[32u * WORDS];
    static const uint16_t rows[BF_QUAD] = {2, 0, 3, 1};
    const uint32_t all = words * taps;
    bf_entries e;
    uint32_t last;
    random_weights(BF_QUAD, 32u * all);
    for (uint32_t i = 0; i < BF_QUAD * all; i++) {
        image.weights[i] &= mask;
    }
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        for (uint32_t i = 0; i <= 32u * WORDS; i++) {
            found[c][i] = GUARD;
        }
        e.to[c] = found[c];
    }
    for (uint32_t j = 0; j < BF_QUAD; j++) {
        e.weights[j] = image.weights + rows[j] * all;
    }
    e.at = 0;
    e.mask = mask;
    e.step = 8u * (1u + below(8));
    e.last = last = 31u * e.step + below(0xF000u);
    e.ones = below(2) ? 4u : 0u - 4u;
    e.words = words;
    e.next_tap = below(3) ? 8u - 32u * words * e.step : 0u;
    bf_append_words(&e, taps);
    CHECK(e.at == 4u * all, "at %u", (unsigned)e.at);
    CHECK(e.last == last + 32u * all * e.step + taps * e.next_tap, "last %u", (unsigned)e.last);
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        uint32_t n = 0;
        for (uint32_t w = 0; w < all; w++) {
            const uint32_t base = last + 32u * w * e.step + w / words * e.next_tap;
            for (uint32_t ones = 0; ones < 2u; ones++) {
                for (uint32_t b = 32u; b-- > 0;) {
                    const uint32_t i = 32u * w + b;
                    if ((mask >> b & 1u) && weight(rows[0], all, i) == ones && pattern_of(rows, all, i) == c) {
                        want[n++] = (uint16_t)(base - (31u - b) * e.step + (ones ? e.ones : 0u));
                    }
                }
            }
        }
        CHECK(e.to[c] == found[c] + n, "%u words, pattern %u: %d entries, not %u", (unsigned)all, (unsigned)c,
              (int)(e.to[c] - found[c]), (unsigned)n);
        CHECK(memcmp(found[c], want, n * sizeof *want) == 0, "%u words, pattern %u", (unsigned)all, (unsigned)c);
        CHECK(found[c][n] == GUARD, "%u words, pattern %u: written behind", (unsigned)all, (unsigned)c);
    }
}

/* A layer of a kernel and a number of channels: each input is in its pattern's list once, and nothing else is. */
static void list_must_name_all_inputs(uint32_t kernel_h, uint32_t kernel_w, uint32_t channels) {
    static uint8_t seen[0x10000u / sizeof(bf_lanes) + 1u];
    static uint16_t list[8192];
    static uint32_t record[512];
    const uint32_t inputs = kernel_h * kernel_w * channels;
    const uint16_t rows[BF_QUAD] = {(uint16_t)below(8), (uint16_t)below(8), (uint16_t)below(8), (uint16_t)below(8)};
    uint16_t size[BF_PATTERNS];
    bf_layer layer;
    bf_model model;
    bf_geometry k;
    uint16_t *end;
    const uint16_t *at = list;
    memset(&layer, 0, sizeof layer);
    memset(&model, 0, sizeof model);
    layer.in_h = layer.in_w = layer.conv_h = layer.conv_w = layer.out_h = layer.out_w = 9;
    layer.in_c = (uint16_t)channels;
    layer.out_c = 8;
    layer.groups = layer.thresholds = layer.in_thresholds = 1;
    layer.kernel_h = (uint16_t)kernel_h;
    layer.kernel_w = (uint16_t)kernel_w;
    layer.stride_h = layer.stride_w = layer.dilation_h = layer.dilation_w = 1;
    layer.pad_top = (uint8_t)((kernel_h - 1u) / 2u);
    layer.pad_bottom = (uint8_t)(kernel_h / 2u);
    layer.pad_left = (uint8_t)((kernel_w - 1u) / 2u);
    layer.pad_right = (uint8_t)(kernel_w / 2u);
    layer.pad_value = (int8_t)((int)below(3) - 1);
    layer.shift = (uint32_t)((uint8_t *)image.shift - (uint8_t *)&image);
    layer.weights = (uint32_t)((uint8_t *)image.weights - (uint8_t *)&image);
    model.base = (const uint8_t *)&image;
    random_weights(8, inputs);
    bf_geometry_of(&layer, 0, &k);
    if (k.exact) {
        bf_border_of(&k);
    }
    bf_count_patterns(&model, &k, rows, size);
    memset(list, 0x5A, sizeof list);
    memset(seen, 0, sizeof seen);
    end = bf_make_list(&model, &k, rows, size, k.exact ? bf_border_limits : bf_plain_limits, list, record);
    CHECK((uint32_t)(end - list) <= 2u * bf_list_words(&k) && *end == 0x5A5Au, "%u inputs", (unsigned)inputs);
    for (uint32_t i = 0; i < inputs; i++) {
        const uint32_t c = i % channels, kx = i / channels % kernel_w, ky = i / channels / kernel_w;
        const uint32_t one = weight(rows[0], bf_words(inputs), i);
        const uint32_t plane = bf_plane_number(&k, ky, kx, c) + (bf_is_flipped(&k) ? 1u - one : one);
        seen[plane] = (uint8_t)(1u + pattern_of(rows, bf_words(inputs), i));
    }
    for (uint32_t c = 0; c < BF_PATTERNS; c++) {
        const uint32_t runs = *at++;
        uint32_t n = 0;
        CHECK(runs == (size[c] + BF_RUN - 1u) / BF_RUN, "pattern %u of %u inputs", (unsigned)c, (unsigned)inputs);
        for (uint32_t i = 0; i < runs * BF_RUN; i++, at++) {
            const uint32_t plane = *at / (uint32_t)sizeof(bf_lanes);
            CHECK(plane == k.filler || seen[plane] == 1u + c, "pattern %u: plane %u", (unsigned)c, (unsigned)plane);
            n += plane != k.filler;
            seen[plane] = 0;
        }
        CHECK(n == size[c], "pattern %u: %u entries, not %u", (unsigned)c, (unsigned)n, (unsigned)size[c]);
    }
    CHECK(at == end, "%u inputs", (unsigned)inputs);
}

/* What border.h says of its example. */
static void worked_example_must_hold(void) {
    static uint32_t record[64];
    static bf_lanes table[4 * BF_BORDER_TABLE];
    static const uint16_t rows[BF_QUAD] = {0, 1, 2, 3};
    static uint16_t list[256];
    uint16_t size[BF_PATTERNS];
    bf_layer layer;
    bf_model model;
    bf_geometry k;
    bf_block b;
    memset(&layer, 0, sizeof layer);
    memset(&model, 0, sizeof model);
    memset(&b, 0, sizeof b);
    layer.in_h = layer.conv_h = 6;
    layer.in_w = layer.conv_w = 8;
    layer.in_c = layer.groups = layer.thresholds = layer.in_thresholds = 1;
    layer.out_c = 4;
    layer.kernel_h = layer.kernel_w = 3;
    layer.stride_h = layer.stride_w = layer.dilation_h = layer.dilation_w = 1;
    layer.pad_top = layer.pad_left = layer.pad_bottom = layer.pad_right = 1;
    layer.shift = (uint32_t)((uint8_t *)image.shift - (uint8_t *)&image);
    layer.weights = (uint32_t)((uint8_t *)image.weights - (uint8_t *)&image);
    model.base = (const uint8_t *)&image;
    for (uint32_t f = 0; f < 4u; f++) {
        image.shift[f] = 1;
        image.weights[f] = 0x1FFu;
    }
    bf_geometry_of(&layer, 0, &k);
    bf_border_of(&k);
    CHECK(k.digits == 4u && k.y.count == 3u && k.x.count == 3u, "zones");
    CHECK(k.y.start[1] == 1u && k.y.start[2] == 5u && k.y.first[0] == 1u && k.y.end[2] == 2u, "zones of rows");
    CHECK(k.borders == 2u && k.tables == 2u, "%u borders", (unsigned)k.borders);
    bf_count_patterns(&model, &k, rows, size);
    bf_make_list(&model, &k, rows, size, bf_border_limits, list, record);
    CHECK(record[sizeof(bf_quad) / sizeof(uint32_t)] == (020u << 6 | 052u), "the first word of the first border");
    b.k = &k;
    b.table = table;
    bf_find_borders(&b, 0);
    CHECK(((const uint32_t *)&table[1])[0] == 1u && ((const uint32_t *)&table[2])[0] == 0x7Eu, "lanes of A and B");
    image.shift[0] = image.shift[1] = image.shift[2] = image.shift[3] = 0;
}

/* ---- Blocks. ---- */

static uint32_t bit(const void *lanes, uint32_t lane) {
    return ((const uint32_t *)lanes)[lane / 32u] >> (lane % 32u) & 1u;
}

static void planes_must_be_those_of_the_tap(uint32_t shift, uint32_t channels, uint32_t chunk) {
    static uint32_t map[400 * BF_LANE_WORDS];
    static bf_lanes planes[400];
    const uint32_t step = 2u * (1u + below(4)), lanes = 32u * BF_LANE_WORDS;
    const bf_tap t = {BF_LANE_WORDS + below(5), step, shift, channels, chunk, bf_no_lanes()};
    bf_tap masked = t;
    const uint32_t *from = map + sizeof map / sizeof *map - ((channels - 1u) * t.stride + BF_LANE_WORDS + 1u);
    uint32_t written = 0;
    for (uint32_t i = 0; i < sizeof map / sizeof *map; i++) {
        map[i] = rnd();
    }
    for (uint32_t i = 0; i < BF_LANE_WORDS; i++) {
        ((uint32_t *)&masked.mask)[i] = below(3) ? rnd() : 0xFFFFFFFFu;
    }
    memset(planes, 0x5A, sizeof planes);
    bf_planes_of_tap(planes, from, &masked);
    for (uint32_t c = 0; c < channels; c++) {
        const bf_lanes *found = planes + c * step + c / chunk * 2u;
        for (uint32_t lane = 0; lane < lanes; lane++) {
            const uint32_t want = bit(&masked.mask, lane) & bit(from, c * t.stride * 32u + shift + lane);
            CHECK(bit(found, lane) == want && bit(found + 1, lane) == !want, "shift %u, channel %u, lane %u",
                  (unsigned)shift, (unsigned)c, (unsigned)lane);
        }
    }
    for (uint32_t i = 0; i < 400u; i++) {
        written += ((const uint32_t *)&planes[i])[0] != 0x5A5A5A5Au;
    }
    CHECK(written <= 2u * channels, "%u planes written for %u channels", (unsigned)written, (unsigned)channels);
}

static void planes_must_be_looked_up(uint32_t digits) {
    static bf_lanes table[BF_BORDER_TABLE], planes[BF_COUNT_DIGITS + 1u];
    uint32_t words[3];
    for (uint32_t i = 0; i < BF_BORDER_TABLE * BF_LANE_WORDS; i++) {
        ((uint32_t *)table)[i] = rnd();
    }
    for (uint32_t i = 0; i < 3u; i++) {
        words[i] = rnd();
    }
    memset(planes, 0x5A, sizeof planes);
    bf_look_up(words, table, digits, planes);
    for (uint32_t i = 0; i < digits; i++) {
        const bf_lanes *want = &table[words[i / 5u] >> i % 5u * 6u & 63u];
        CHECK(memcmp(want, &planes[i], sizeof *want) == 0, "plane %u of %u", (unsigned)i, (unsigned)digits);
    }
    CHECK(((const uint32_t *)&planes[BF_COUNT_DIGITS])[0] == 0x5A5A5A5Au, "digits %u: written behind",
          (unsigned)digits);
}

int main(void) {
    worked_example_must_hold();
    for (uint32_t i = 0; i < 32u; i++) {
        planes_must_be_those_of_the_tap(i, 1u + below(40), below(2) ? 16u : 40u);
        planes_must_be_those_of_the_tap(0, 1u + below(40), 1u + below(40));
    }
    for (uint32_t digits = 4; digits <= BF_COUNT_DIGITS; digits++) {
        planes_must_be_looked_up(digits);
    }
    for (uint32_t i = 0; i < 60u; i++) {
        words_must_be_appended(1u + below(4), 1u + below(5), 0xFFFFFFFFu);
        words_must_be_appended(1, 1, bf_tail_mask(1u + below(32)));
    }
    for (uint32_t i = 0; i < 60u; i++) {
        list_must_name_all_inputs(1u + below(3), 1u + below(3), below(2) ? 32u * (1u + below(3)) : 1u + below(70));
    }
    printf("%d failures\n", failures);
    return failures != 0;
}
