/*
 * picture.c - from a camera's frame to a network's input, by the rule in the network's header.
 *
 * It gives, bit for bit, what Pillow's Image.resize(size, BILINEAR) gives for 8-bit images (its Resample.c), which is
 * how pictures are brought to size on the host. A position of the result is a weighted mean of the pixels below a
 * triangle, two pixels wide in the smaller of both scales; first within each row, rounded to 8 bits, then over rows.
 * Pillow has its weights in doubles, normalised and then rounded to 22 bits. They are fractions: at position i of `out`
 * pixel x of `in` weighs
 *
 *     W(x) = max(0, 2 max(in, out) - |(2x + 1) out - (2i + 1) in|)
 *
 * over the sum of all W, here rounded in integers.
 *
 * SPDX-License-Identifier: MIT
 */
#include "run/layer.h"

#define WEIGHT_BITS 22 /* Pillow's PRECISION_BITS: 32 bits less those of a pixel, less 2 */
#define SIDE_LIMIT  0xFFFFu

/* One direction: `in` pixels of the frame from `at` on become `out`; no position has more than `taps` weights. */
typedef struct axis {
    uint32_t at, in, out, taps;
} axis;

/* A position's weights lie as: its first pixel, their number, the weights. */
enum { FIRST, COUNT, WEIGHTS };

typedef struct plan {
    axis x, y;
    uint32_t channels;
    int resized;
    size_t scratch; /* bytes */
} plan;

static uint32_t least(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

static axis axis_of(uint32_t all, uint32_t in, uint32_t out) {
    const uint32_t larger = in > out ? in : out;
    axis a = {(all - in) / 2u, in, out, 0};
    a.taps = least(in, (2u * larger + out - 1u) / out);
    return a;
}

/* What is to do with frames of a size; not BF_OK: the network does not take them. */
static bf_status plan_of(const bf_model *model, uint32_t width, uint32_t height, plan *p) {
    const bf_header *header = bf_header_of(model);
    const uint32_t to_h = header->height, to_w = header->width;
    uint32_t from_h = height, from_w = width;
    uint64_t bytes;
    BF_CHECK(width - 1u < SIDE_LIMIT && height - 1u < SIDE_LIMIT, BF_ERR_ARGUMENT);
    BF_CHECK(header->dtype == BF_UINT8 && (header->channels == 1 || header->channels == 3), BF_ERR_PICTURE);
    if (header->resize == BF_RESIZE_CROP) { /* the largest part in the middle that is as wide for its height */
        if (width * to_h > height * to_w) {
            from_w = height * to_w / to_h;
            from_w += from_w == 0;
        } else {
            from_h = width * to_h / to_w;
            from_h += from_h == 0;
        }
    }
    p->x = axis_of(width, from_w, to_w);
    p->y = axis_of(height, from_h, to_h);
    p->channels = header->channels;
    p->resized = from_w != to_w || from_h != to_h;
    p->scratch = 0;
    if (p->resized) {
        BF_CHECK(header->resize != BF_RESIZE_NONE, BF_ERR_PICTURE);
        bytes = ((uint64_t)to_w * (WEIGHTS + p->x.taps) + WEIGHTS + p->y.taps) * sizeof(uint32_t);
        bytes += ((uint64_t)to_w * p->y.taps + from_w) * p->channels;
        BF_CHECK(bytes < BF_MAP_LIMIT, BF_ERR_PICTURE);
        p->scratch = ((size_t)bytes + 3u) & ~(size_t)3u;
    }
    return BF_OK;
}

BF_COLD size_t bf_picture_scratch(const bf_model *model, uint32_t width, uint32_t height) {
    plan p;
    return model && plan_of(model, width, height, &p) == BF_OK ? p.scratch : 0;
}

/* part / whole, at most 1, in WEIGHT_BITS, rounded. Bit by bit: a core's library for 64 bits would be half of this
 * file. */
static uint32_t fraction(uint64_t part, uint64_t whole) {
    uint32_t twice = 0;
    for (unsigned bit = 0; bit < WEIGHT_BITS + 2u; bit++, part *= 2u) {
        const uint32_t one = part >= whole;
        twice = 2u * twice + one;
        part -= one ? whole : 0;
    }
    return (twice + 1u) >> 1;
}

/* The weights of position i. before: a pixel that is not behind its first one, the first one of position i - 1 say. */
static void weigh(const axis *a, uint32_t i, uint32_t before, uint32_t *to) {
    const int64_t widest = 2 * (int64_t)(a->in > a->out ? a->in : a->out);
    const int64_t middle = (2 * (int64_t)i + 1) * a->in;
    uint64_t sum = 0;
    uint32_t n = 0;
    while ((2 * (int64_t)before + 1) * a->out <= middle - widest) {
        before++;
    }
    for (; n < a->taps && before + n < a->in; n++) {
        const int64_t away = (2 * (int64_t)(before + n) + 1) * a->out - middle;
        const int64_t weight = widest - (away < 0 ? -away : away);
        if (weight <= 0) {
            break;
        }
        to[WEIGHTS + n] = (uint32_t)weight;
        sum += (uint64_t)weight;
    }
    to[FIRST] = before;
    to[COUNT] = n;
    for (uint32_t k = 0; k < n; k++) {
        to[WEIGHTS + k] = fraction(to[WEIGHTS + k], sum);
    }
}

/* A sum of weighted pixels as a pixel. Thousands of rounded weights may sum up to more than 1. */
static uint8_t rounded(uint32_t sum) {
    return (uint8_t)least((sum + (1u << (WEIGHT_BITS - 1))) >> WEIGHT_BITS, 255u);
}

static uint32_t pixel_bytes(uint32_t format) {
    return format == BF_FRAME_GRAY ? 1u : format == BF_FRAME_RGB888 ? 3u : 2u;
}

/* Part of a row as the network's channels. The colours of RGB565 are filled up with their own highest bits. */
static void unpack(const bf_frame *frame, const uint8_t *from, uint32_t width, const bf_header *header, uint8_t *to) {
    const uint32_t step = pixel_bytes(frame->format), red = header->channel_order == BF_ORDER_BGR ? 2u : 0u;
    for (uint32_t x = 0; x < width; x++, from += step, to += header->channels) {
        uint32_t r = from[0], g = r, b = r;
        if (step == 3u) {
            g = from[1];
            b = from[2];
        } else if (step == 2u) {
            const uint32_t big = frame->format == BF_FRAME_RGB565_BE;
            const uint32_t value = (uint32_t)from[big] | (uint32_t)from[1u - big] << 8;
            r = value >> 11;
            g = value >> 5 & 63u;
            b = value & 31u;
            r = r << 3 | r >> 2;
            g = g << 2 | g >> 4;
            b = b << 3 | b >> 2;
        }
        if (header->channels == 3) {
            to[red] = (uint8_t)r;
            to[1] = (uint8_t)g;
            to[2u - red] = (uint8_t)b;
        } else { /* Pillow's luma, 0.299 R + 0.587 G + 0.114 B in 16 bits; its weights' sum is 65536 */
            to[0] = (uint8_t)((19595u * r + 38470u * g + 7471u * b + 0x8000u) >> 16);
        }
        BF_KEEP_LOOP();
    }
}

/* A row of the frame to one of the result's width. columns: the weights of each position. */
static void shrink_row(const plan *p, const uint32_t *columns, const uint8_t *row, uint8_t *to) {
    for (uint32_t x = 0; x < p->x.out; x++, columns += WEIGHTS + p->x.taps) {
        for (uint32_t c = 0; c < p->channels; c++) {
            const uint8_t *from = row + columns[FIRST] * p->channels + c;
            uint32_t sum = 0;
            for (uint32_t k = 0; k < columns[COUNT]; k++, from += p->channels) {
                sum += *from * columns[WEIGHTS + k];
            }
            *to++ = rounded(sum);
        }
    }
}

/* Rows that were brought to width lie in a ring of y.taps rows: row r of the frame is its row r % y.taps. */
static void mix_rows(const plan *p, const uint32_t *weights, const uint8_t *ring, uint8_t *to) {
    const uint32_t width = p->x.out * p->channels, start = weights[FIRST] % p->y.taps;
    for (uint32_t x = 0; x < width; x++) {
        uint32_t sum = 0, row = start;
        for (uint32_t k = 0; k < weights[COUNT]; k++) {
            sum += ring[row * width + x] * weights[WEIGHTS + k];
            row = row + 1u == p->y.taps ? 0 : row + 1u;
        }
        *to++ = rounded(sum);
    }
}

bf_status bf_picture(const bf_model *model, const bf_frame *frame, void *input, void *scratch, size_t scratch_size) {
    const bf_header *header;
    const uint8_t *from;
    uint8_t *to = (uint8_t *)input, *row, *ring;
    uint32_t *columns = (uint32_t *)scratch, *weights;
    uint32_t step, ready = 0;
    uint64_t row_bytes;
    plan p;
    BF_CHECK(model && frame && frame->pixels && input && frame->format <= BF_FRAME_RGB888, BF_ERR_ARGUMENT);
    BF_CHECK(frame->width - 1u < SIDE_LIMIT && frame->height - 1u < SIDE_LIMIT, BF_ERR_ARGUMENT);
    step = pixel_bytes(frame->format);
    row_bytes = frame->row_bytes ? frame->row_bytes : frame->width * step;
    BF_CHECK(row_bytes >= frame->width * step, BF_ERR_ARGUMENT);
    BF_CHECK((frame->height - 1u) * row_bytes + frame->width * step <= frame->size, BF_ERR_ARGUMENT);
    {
        const bf_status status = plan_of(model, frame->width, frame->height, &p);
        BF_CHECK(status == BF_OK, status);
    }
    header = bf_header_of(model);
    from = (const uint8_t *)frame->pixels + p.y.at * (size_t)row_bytes + p.x.at * step;
    if (!p.resized) {
        for (uint32_t y = 0; y < p.y.out; y++, from += row_bytes) {
            unpack(frame, from, p.x.out, header, to + (size_t)y * p.x.out * p.channels);
        }
        return BF_OK;
    }
    BF_CHECK(scratch, BF_ERR_ARGUMENT);
    BF_CHECK((uintptr_t)scratch % BF_IMAGE_ALIGN == 0, BF_ERR_ALIGNMENT);
    BF_CHECK(scratch_size >= p.scratch, BF_ERR_SPACE);
    for (uint32_t x = 0, first = 0; x < p.x.out; x++) {
        weights = columns + x * (WEIGHTS + p.x.taps);
        weigh(&p.x, x, first, weights);
        first = weights[FIRST];
    }
    weights = columns + p.x.out * (WEIGHTS + p.x.taps);
    row = (uint8_t *)(void *)(weights + WEIGHTS + p.y.taps);
    ring = row + p.x.in * p.channels;
    weights[FIRST] = 0;
    for (uint32_t y = 0; y < p.y.out; y++, to += p.x.out * p.channels) {
        weigh(&p.y, y, weights[FIRST], weights);
        for (; ready < weights[FIRST] + weights[COUNT]; ready++) {
            unpack(frame, from + ready * (size_t)row_bytes, p.x.in, header, row);
            shrink_row(&p, columns, row, ring + ready % p.y.taps * p.x.out * p.channels);
        }
        mix_rows(&p, weights, ring, to);
    }
    return BF_OK;
}
