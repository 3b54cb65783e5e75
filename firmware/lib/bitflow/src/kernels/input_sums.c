/*
 * input_sums.c - the fast first layer: 8-bit pixels, +-1 weights, bits out; no multiplication.
 *
 * Two outputs share a word: two lanes of 16 bits, low and high. In a narrow map they are those of rows y and y + down,
 * else those of a row's columns x and x + across. Added as integers such words are exact as long as the low lane's
 * final sum is within 0 .. 65535; in between lanes may overflow. Each sum starts at shift + 0x8000, so that the sign
 * bit of a lane is the output.
 *
 * The values that a row of the kernel covers, kernel_w * in_c of them that lie side by side, are cut into segments of
 * g. For each segment all 2^g sums of +-values are computed once per input row, for all x, into a table that all
 * filters read: a filter loads and adds one sum for each kernel row and segment. If a segment is a
 * whole number of pixels that the stride divides, and the kernel row a whole number of segments, then the table of one
 * segment is that of the first, some words further on, and there is one table for all.
 *
 * Rows are cut into equal parts of at most 32 outputs. The tables of the kernel_h input rows in use lie in a ring.
 *
 * Why nothing overflows: a value is within low .. high = low + 255, low <= 0 <= high; so an accumulator is within
 * least .. most = least + 255 * taps. A shift is first brought into -most - 1 .. -least, which changes no output. Then
 * |accumulator + shift| <= 255 * taps + 1 <= 32641 for up to 128 taps.
 *
 * Covered: BF_INPUT_CONV with bits as output, groups and dilation 1, at most 128 taps, bound <= 255 * taps (it is, with
 * a zero point that a pixel can have), at most 64 KB of scratch.
 *
 * Scratch, in words:
 *   bases    pointers: where this row's tables are
 *   tables   kernel_h * row
 *   slack    8: blocks of outputs end after the last one
 *   strip    ((words - 1) * stride_w + span) * in_c: the pixels of a row, two lanes
 *   filters  2 * (thresholds - 1) + n * filter + 1, n = out_c / thresholds
 * with values = kernel_w * in_c, segments = ceil(values / g), last = values - (segments - 1) * g,
 * pointers = kernel_h * segments, filter = 2 * thresholds + ceil(pointers / 2), outputs = ceil(conv_w / ceil(conv_w /
 * 32)), half = outputs if conv_w <= 12 and conv_h > 1, else ceil(outputs / 2), and one table for all (in_c divides g,
 * stride_w divides g / in_c, last = g): step = g / in_c / stride_w, words = max(half + (segments - 1) * step, 4), span
 * = g / in_c, entries = 2^g else:   words = max(half, 4), span = kernel_w, entries = (segments - 1) * 2^g + 2^last and
 * row = words * entries. g is a plan's choice, 1 .. min(values, 5): larger tables are faster to use, and slower to
 * make. Without a plan it is the one with the least cost, of several the smallest:
 *   cost = 3 * n * pointers + (6 * min(stride_h, kernel_h) + 2 * kernel_h) * entries
 *
 * SPDX-License-Identifier: MIT
 */
#include "input_sums.h"
#include "../planes/handover.h"
#include "../planes/planes.h"
#include "input_rows.h"

#define MOST_TAPS    128u
#define MOST_SEGMENT 5u
#define MOST_BYTES   0x10000u /* of scratch: offsets into a row's tables fit 16 bits */
#define ROW_OUTPUTS  32u
#define LANE_OUTPUTS 12u
#define SLACK        8u

static uint32_t smaller(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static uint32_t up(uint32_t a, uint32_t b) {
    return (a + b - 1u) / b;
}

BF_COLD static void clear(uint32_t *to, size_t n) {
    while (n--) {
        *to++ = 0;
        BF_KEEP_LOOP();
    }
}

BF_COLD static void cut(bf_sums_plan *p, const bf_layer *l, uint32_t segment) {
    const uint32_t pixels = segment / l->in_c;
    p->values = (uint32_t)l->kernel_w * l->in_c;
    p->segment = segment;
    p->segments = up(p->values, segment);
    p->last = p->values - (p->segments - 1u) * segment;
    p->step = segment % l->in_c == 0 && pixels % l->stride_w == 0 && p->last == segment ? pixels / l->stride_w : 0u;
    p->entries = p->step ? 1u << segment : ((p->segments - 1u) << segment) + (1u << p->last);
    p->pointers = l->kernel_h * p->segments;
}

/*
 * Half instructions for each word of a row: a filter's load and add take 1.5, an entry of a table 3 for each input row
 * that is new. An entry also counts 1 for each row in the ring, for its memory: large tables must be worth it, which
 * takes many filters.
 */
BF_COLD static uint32_t cost_of(const bf_sums_plan *p, const bf_layer *l) {
    const uint32_t fresh = smaller(l->stride_h, l->kernel_h);
    return 3u * bf_filter_count(l) * p->pointers + (6u * fresh + 2u * l->kernel_h) * p->entries;
}

static uint32_t most_of_segment(const bf_layer *l) {
    return smaller((uint32_t)l->kernel_w * l->in_c, MOST_SEGMENT);
}

BF_COLD static uint32_t cheapest_segment(bf_sums_plan *p, const bf_layer *l) {
    uint32_t best = 1, least = 0xFFFFFFFFu;
    for (uint32_t segment = 1; segment <= most_of_segment(l); segment++) {
        uint32_t cost;
        cut(p, l, segment);
        cost = cost_of(p, l);
        best = cost < least ? segment : best;
        least = smaller(cost, least);
    }
    return best;
}

/* segment: as a plan has it; 0: the cheapest. */
BF_COLD static void make_plan(bf_sums_plan *p, const bf_layer *l, uint32_t segment) {
    cut(p, l, segment ? segment : cheapest_segment(p, l));
    p->filter = 2u * l->thresholds + up(p->pointers, 2);
    p->outputs = up(l->conv_w, up(l->conv_w, ROW_OUTPUTS));
    p->down = l->conv_w <= LANE_OUTPUTS && l->conv_h > 1u ? up(l->conv_h, 2) : 0u;
    p->half = p->down ? p->outputs : up(p->outputs, 2);
    p->across = p->down ? 0u : p->half;
    p->words = p->half + (p->segments - 1u) * p->step;
    p->words = p->words < BF_SUMS_BUILT ? BF_SUMS_BUILT : p->words;
    p->row = p->words * p->entries;
    p->columns = (p->words - 1u) * l->stride_w + (p->step ? p->segment / l->in_c : l->kernel_w);
}

BF_COLD size_t bf_input_sums_scratch(const bf_layer *l, uint32_t segment) {
    size_t words;
    bf_sums_plan p;
    if (l->kind != BF_INPUT_CONV || l->output != BF_BITS || (l->thresholds > 1 && l->invert) || l->groups != 1 ||
        l->dilation_h != 1 || l->dilation_w != 1 || bf_taps(l) > MOST_TAPS || l->bound > 255u * bf_taps(l) ||
        segment > most_of_segment(l)) {
        return BF_NOT_COVERED;
    }
    make_plan(&p, l, segment);
    words = l->kernel_h * p.row + SLACK + p.columns * l->in_c + p.pointers + bf_filter_count(l) * p.filter + 1u +
            2u * (l->thresholds - 1u);
    return words > MOST_BYTES / sizeof(uint32_t) ? BF_NOT_COVERED : words * sizeof(uint32_t);
}

/*
 * What the sums of filters start at. An inverted output is that of -accumulator - shift - 1: all weights and the shift
 * are inverted. The inversion mask is left in the filter's bits.
 */
BF_COLD static void make_starts(const bf_sums_work *w, const uint32_t *weights, const uint32_t *shifts,
                                const uint32_t *invert) {
    const int32_t taps = (int32_t)bf_taps(w->layer), zero = (int32_t)w->zero;
    const uint32_t filters = bf_filter_count(w->layer);
    uint32_t *filter = w->filters;
    for (uint32_t c = 0; c < filters; c++, filter += w->p.filter, shifts++) {
        const uint32_t flip = invert ? 0u - (invert[c / BF_WORD_BITS] >> c % BF_WORD_BITS & 1u) : 0u;
        const uint32_t *of = shifts;
        uint32_t *more = filter, before = 0u - 0x8000u;
        int32_t plus = 0, high, low;
        for (uint32_t k = bf_words((uint32_t)taps); k; k--) {
            plus += (int32_t)bf_popcount(*weights++);
        }
        plus = flip ? taps - plus : plus;
        /* -least and -most - 1; least = plus * -zero - (taps - plus) * (255 - zero). */
        high = (2 * plus - taps) * zero + (taps - plus) * 255;
        low = high - taps * 255 - 1;
        for (uint32_t t = w->layer->thresholds; t; t--, of += filters, more -= 2) {
            int32_t shift = (int32_t)(*of ^ flip);
            shift = shift > high ? high : shift < low ? low : shift;
            more[0] = BF_SUMS_LANES((uint32_t)shift - before); /* of the first threshold the start */
            more[1] = flip;
            before = (uint32_t)shift;
        }
    }
    filter[BF_SUMS_START] = 0;
}

/* Writes where the sum of the n weights at bit `at` of each filter lies in the tables, from word `words` on. */
BF_COLD static void make_offsets(const bf_sums_work *w, const uint32_t *weights, uint32_t at, uint32_t n,
                                 uint32_t words, uint16_t *offset) {
    const uint32_t shift = at % BF_WORD_BITS, mask = bf_tail_mask(n), row = bf_words(bf_taps(w->layer));
    const uint32_t bytes = w->p.words * (uint32_t)sizeof(uint32_t), start = words * (uint32_t)sizeof(uint32_t);
    const uint32_t *filter = w->filters;
    weights += at / BF_WORD_BITS;
    for (; filter[BF_SUMS_START]; filter += w->p.filter, weights += row) {
        uint32_t code = weights[0] >> shift;
        if (shift + n > BF_WORD_BITS) {
            code |= weights[1] << (BF_WORD_BITS - shift);
        }
        code = (code ^ filter[BF_SUMS_BITS]) & mask;
        *offset = (uint16_t)(start + code * bytes);
        offset += 2u * w->p.filter;
    }
}

BF_COLD static void make_filters(const bf_sums_work *w, const bf_model *model) {
    const bf_layer *l = w->layer;
    const uint32_t *weights = (const uint32_t *)bf_at(model, l->weights);
    const uint32_t *invert = l->invert ? (const uint32_t *)bf_at(model, l->invert) : NULL;
    uint16_t *offset = (uint16_t *)(void *)&w->filters[BF_SUMS_OFFSETS];
    make_starts(w, weights, (const uint32_t *)bf_at(model, l->shift), invert);
    for (uint32_t ky = 0, at = 0; ky < l->kernel_h; ky++) {
        for (uint32_t j = 0; j < w->p.segments; j++) {
            const uint32_t n = j + 1u < w->p.segments ? w->p.segment : w->p.last;
            make_offsets(w, weights, at, n, w->p.step ? j * w->p.step : (j << w->p.segment) * w->p.words, offset++);
            at += n;
        }
    }
    for (uint32_t *filter = w->filters; filter[BF_SUMS_START]; filter += w->p.filter) {
        filter[BF_SUMS_BITS] = 0;
        BF_KEEP_LOOP();
    }
}

/* All filters' next sums, at most as many words as the tables' rows have slack for; returns how many, `left` or more.
 */
static uint32_t sum_some(const bf_sums_work *w, uint32_t left) {
    const uint32_t pointers = w->p.pointers;
    if (w->layer->thresholds > 1) {
        return w->several(w->filters, w->bases, pointers, w->p.filter, w->layer->thresholds);
    }
#ifdef BF_ASM_SUMS
    if (pointers == 3) {
        left = up(left, 4) * 4u;
        bf_sums_3(w->filters, w->bases, left);
        return left;
    }
    bf_sums_8(w->filters, w->bases, pointers, w->p.filter * (uint32_t)sizeof(uint32_t));
    return 8;
#else
    (void)left;
    return bf_sums(w->filters, w->bases, pointers, w->p.filter, 1);
#endif
}

/* The sums of a row from the tables at `bases`; returns how many words. */
static uint32_t sum_row(const bf_sums_work *w) {
    uint32_t n = sum_some(w, w->p.half), x = n;
    while (x < w->p.half) {
        for (uint32_t k = 0; k < w->p.pointers; k++) {
            w->bases[k] += n * (uint32_t)sizeof(uint32_t);
        }
        n = sum_some(w, w->p.half - x);
        x += n;
    }
    return x;
}

/* The signs of the low lane end at bit 15, those of the high lane at bit 31: outputs x .. x + n - 1 of row y, and of
 * the high lane's row. */
static void put_row(const bf_sums_work *w, uint32_t summed, uint32_t y, uint32_t x, uint32_t n, uint32_t *to,
                    uint32_t stride) {
    const uint32_t at = y * w->layer->conv_w + x, right = 16u - summed, low = smaller(n, w->p.half);
    for (uint32_t t = 0;;) {
        const int bits = BF_SUMS_MORE(t) + 1;
        if (n == BF_WORD_BITS && at % BF_WORD_BITS == 0) {
            bf_sums_put_word(w, bits, to + at / BF_WORD_BITS, stride);
        } else {
            if (w->p.down && y + w->p.down < w->layer->conv_h) {
                bf_sums_put(w, bits, right + 16u, n, 0, to, at + w->p.down * w->layer->conv_w, stride);
            }
            bf_sums_put(w, bits, right, low, n - low, to, at, stride);
        }
        if (++t == w->layer->thresholds) {
            return;
        }
        to += bf_filter_count(w->layer) * stride;
    }
}

/* Outputs x .. x + n - 1 of all rows. */
static void run_part(bf_sums_work *w, uint32_t x, uint32_t n, uint32_t *to, uint32_t stride) {
    const bf_layer *l = w->layer;
    const uint32_t rows = w->p.down ? w->p.down : l->conv_h;
    uint32_t made = 0; /* rows of the padded map whose tables are, or were, in the ring */
    bf_sums_columns(w, (int32_t)(x * l->stride_w) - l->pad_left);
    for (uint32_t y = 0; y < rows; y++) {
        const uint32_t top = y * l->stride_h;
        uint32_t *base = w->bases;
        made = made < top ? top : made;
        for (; made < top + l->kernel_h; made++) {
            bf_sums_strip(w, (int32_t)made - l->pad_top);
            bf_sums_tables(w, w->tables + made % l->kernel_h * w->p.row);
        }
        for (uint32_t ky = 0; ky < l->kernel_h; ky++) {
            const uint32_t tables = w->p.pointers + (top + ky) % l->kernel_h * w->p.row;
            for (uint32_t j = 0; j < w->p.segments; j++) {
                *base++ = tables * (uint32_t)sizeof *base;
            }
        }
        put_row(w, sum_row(w), y, x, n, to, stride);
    }
}

BF_COLD void bf_input_sums_run(const bf_job *job, bf_sums_several *several, uint32_t *scratch, uint32_t *to,
                               uint32_t stride) {
    const bf_layer *l = job->layer;
    const bf_header *header = (const bf_header *)bf_at(job->model, 0);
    bf_sums_work w;
    make_plan(&w.p, l, job->choice ? job->choice->memory : 0);
    w.layer = l;
    w.several = several;
    w.pixels = (const uint8_t *)job->inputs[0];
    w.flip = header->dtype == BF_INT8 ? 0x80u : 0u; /* int8 p is uint8 (p ^ 0x80) - 128 */
    w.zero = (uint32_t)header->zero_point + w.flip;
    w.bases = scratch;
    w.tables = w.bases + w.p.pointers;
    w.strip = w.tables + l->kernel_h * w.p.row + SLACK;
    w.filters = w.strip + w.p.columns * l->in_c + 2u * (l->thresholds - 1u);
    make_filters(&w, job->model);
    clear(to, (size_t)l->out_c * stride);
    for (uint32_t x = 0; x < l->conv_w; x += w.p.outputs) {
        run_part(&w, x, smaller(w.p.outputs, l->conv_w - x), to, stride);
    }
}

/* ---- The kernel. It writes bit planes. ---- */

/* What only full kernels cover; NULL: not covered. */
typedef struct form {
    bf_plane_pool *pool;      /* windows other than 2 x 2 side by side */
    bf_sums_several *several; /* thresholds */
} form;

BF_COLD static int covers(const bf_kernel *kernel, const bf_layer *layer) {
    const form *own = (const form *)kernel->form;
    return (own->pool || bf_is_by_two(layer)) && (own->several || layer->thresholds == 1) &&
           bf_input_sums_scratch(layer, 0) != BF_NOT_COVERED && bf_output_planes_fit(layer);
}

BF_COLD static size_t scratch(const bf_job *job) {
    return bf_planes_scratch(job) * sizeof(uint32_t) +
           bf_input_sums_scratch(job->layer, job->choice ? job->choice->memory : 0);
}

BF_COLD static void run(const bf_job *job) {
    const uint32_t positions = (uint32_t)job->layer->conv_h * job->layer->conv_w;
    const form *own = (const form *)job->kernel->form;
    bf_input_sums_run(job, own->several, job->scratch + bf_planes_scratch(job), bf_output_planes(job),
                      bf_words_of_plane(positions));
    bf_planes_done(job, own->pool);
}

static const form full = {bf_pool_windows, bf_sums_of_several}, several = {NULL, bf_sums_of_several};
static const form lite = {NULL, NULL};

const bf_kernel bf_input_sums = {1u << BF_INPUT_CONV, BF_OUTPUT_PLANES, covers, scratch, run, &full};
const bf_kernel bf_input_sums_several = {1u << BF_INPUT_CONV, BF_OUTPUT_PLANES, covers, scratch, run, &several};
const bf_kernel bf_input_sums_lite = {1u << BF_INPUT_CONV, BF_OUTPUT_PLANES, covers, scratch, run, &lite};
