/*
 * bitflow.h - run a fully binary network. This header is the manual.
 *
 *   bf_model model;
 *   if (bf_open(&model, image, image_size) != BF_OK) ...        // or: use the `const bf_model` of generated code
 *   static uint32_t arena[ARENA_WORDS];                         // at least bf_arena_size(&model) bytes
 *   int32_t scores[CLASSES];                                    // bf_classes(&model) of them
 *   if (bf_run(&model, pixels, scores, arena, sizeof arena) == BF_OK)
 *       label = bf_argmax(scores, bf_classes(&model));
 *
 * C99, no malloc, no float, no libc, no writable globals; every function is reentrant. The caller owns all memory:
 * a model only points into its image, which must stay where it is, unchanged, as long as the model is used.
 *
 * A network is a row of layers. Each reads the maps of earlier layers, mostly that of the layer before, and writes one
 * map. A map of H x W positions and C channels holds either
 * - bits, 1 for +1 and 0 for -1, channel-packed as uint32_t[H][W][(C + 31) / 32]: channel c of a position is bit c % 32
 *   (least significant first) of its word c / 32, unused high bits are 0;
 * - or integers, int32_t[H][W][C].
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BITFLOW_H
#define BITFLOW_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BF_VERSION       "0.1.0"
#define BF_IMAGE_VERSION 3u          /* generated code and images carry it; another one is refused */
#define BF_MAGIC         0x314E4642u /* "BFN1" as the first four bytes of an image */
#define BF_IMAGE_ALIGN   4u          /* an image, and an arena, starts on this many bytes */

/* ---- Status. One list makes the codes and their texts; all errors are negative. ---- */

#define BF_STATUS_LIST(X)                                                                                              \
    X(BF_OK, 0, "ok")                                                                                                  \
    X(BF_STOPPED, 1, "stopped by the hook")                                                                            \
    X(BF_ERR_ARGUMENT, -1, "a pointer is NULL or a number is out of range")                                            \
    X(BF_ERR_ALIGNMENT, -2, "the image or the arena does not start on 4 bytes")                                        \
    X(BF_ERR_TRUNCATED, -3, "the image is shorter than it says")                                                       \
    X(BF_ERR_MAGIC, -4, "not a .bfn image")                                                                            \
    X(BF_ERR_VERSION, -5, "the image is of another format version: convert the image, or update this library")         \
    X(BF_ERR_CRC, -6, "the image is damaged: its CRC-32 does not match")                                               \
    X(BF_ERR_HEADER, -7, "the header contradicts itself")                                                              \
    X(BF_ERR_BOUNDS, -8, "an offset leads outside the image, or arrays share bytes")                                   \
    X(BF_ERR_TEXT, -9, "a name or label does not end inside the image")                                                \
    X(BF_ERR_KIND, -10, "a layer is of an unknown kind")                                                               \
    X(BF_ERR_SHAPE, -11, "the shapes of a layer contradict each other")                                                \
    X(BF_ERR_CHAIN, -12, "a layer does not take what its sources give")                                                \
    X(BF_ERR_RANGE, -13, "an integer of the image could overflow")                                                     \
    X(BF_ERR_ARENA, -14, "the arena is smaller than bf_arena_size()")                                                  \
    X(BF_ERR_KERNEL, -15, "no kernel for a layer is linked in")                                                        \
    X(BF_ERR_SPACE, -16, "the buffer for the result is too small")                                                     \
    X(BF_ERR_MAPS, -17, "maps that are needed at the same time share memory")                                          \
    X(BF_ERR_PLAN, -18, "the plan behind the image is damaged, or made for another one")                               \
    X(BF_ERR_PICTURE, -19, "the network takes no pictures, or none of this size")                                      \
    X(BF_ERR_FEATURE, -20, "the image needs a newer version of this library")

typedef enum bf_status {
#define BF_STATUS_ENUM(name, value, text) name = (value),
    BF_STATUS_LIST(BF_STATUS_ENUM)
#undef BF_STATUS_ENUM
} bf_status;

/* English text of a status, never NULL; "unknown status" for any other number. */
const char *bf_status_text(bf_status status);

/* ---- The image: header, layer records, arrays, CRC-32. SPEC.md gives it byte by byte. ---- */

#define BF_APPROXIMATE 1u /* bf_header.flags: rounded somewhere, not exactly the network that was trained */

enum { BF_UINT8 = 0, BF_INT8 = 1 }; /* bf_header.dtype: what a pixel is */
enum { BF_ORDER_GRAY = 0, BF_ORDER_RGB = 1, BF_ORDER_BGR = 2, BF_ORDER_OTHER = 3 }; /* bf_header.channel_order */
enum { BF_RESIZE_NONE = 0, BF_RESIZE_STRETCH = 1, BF_RESIZE_CROP = 2 };             /* bf_header.resize */

typedef struct bf_header {
    uint32_t magic;       /* BF_MAGIC */
    uint16_t version;     /* BF_IMAGE_VERSION */
    uint16_t flags;       /* BF_APPROXIMATE or 0 */
    uint32_t size;        /* bytes of the whole image, CRC included */
    uint32_t layer_count; /* 1 .. 1024 */
    uint32_t layers;      /* offset of the records; all offsets count from the image's first byte */
    uint32_t name;        /* offset of the network's name, NUL-terminated UTF-8; 0: none */
    uint32_t labels;      /* offset of `classes` NUL-terminated strings, one after the other; 0: none */
    uint32_t classes;     /* scores of a run, 1 .. 65535 */
    uint16_t height;      /* of the input, pixels */
    uint16_t width;
    uint16_t channels;     /* values per pixel, stored [height][width][channels] */
    uint8_t dtype;         /* BF_UINT8 or BF_INT8 */
    uint8_t channel_order; /* BF_ORDER_*: what the channels mean, for code that prepares a picture */
    int16_t zero_point;    /* the pixel value that counts as 0 */
    uint8_t resize;        /* BF_RESIZE_*: how a picture of another size is brought to height x width */
    uint8_t reserved0;     /* 0 */
    uint32_t extra;        /* offset of bytes that this library ignores (how scores become logits); 0: none */
    uint32_t extra_size;
    uint32_t table;        /* offset of int16_t[256], the value of each pixel; 0: none. This version refuses others */
    uint32_t reserved1[2]; /* 0 */
} bf_header;               /* 64 bytes */

/* Kinds of layer, X(NAME, value, text). */
#define BF_KIND_LIST(X)                                                                                                \
    X(BF_INPUT_CONV, 0, "input_conv") /* 8-bit pixels, +-1 weights */                                                  \
    X(BF_CONV, 1, "conv")             /* bits, +-1 weights, groups */                                                  \
    X(BF_DENSE, 2, "dense")           /* bits of the whole map, +-1 weights: a conv whose kernel is the map */         \
    X(BF_WIDE_CONV, 3, "wide_conv")   /* pixels, bits or integers, int8 weights; integers, +-1 weights */              \
    X(BF_SUM, 4, "sum")               /* of 1 to 4 maps of one shape, bits (+-1) or integers */                        \
    X(BF_CONCAT, 5, "concat")         /* 1 to 4 maps of bits of one height and width, channel after channel */         \
    X(BF_TOTAL, 6, "total")           /* sum of each channel over all positions, bits (+-1) or integers */

typedef enum bf_kind {
#define BF_KIND_ENUM(name, value, text) name = (value),
    BF_KIND_LIST(BF_KIND_ENUM)
#undef BF_KIND_ENUM
        BF_KINDS /* how many there are */
} bf_kind;

enum { BF_BITS = 0, BF_SCORES = 1, BF_INTEGERS = 2 }; /* bf_layer.output */

#define BF_MAX_SOURCES    4u
#define BF_MAX_THRESHOLDS 8u
#define BF_PIXELS         0xFFFFu     /* bf_layer.sources: the input */
#define BF_SHARED         1u          /* bf_layer.flags: one weight for all bits of a value */
#define BF_PER_POSITION   2u          /* bf_layer.flags: shift is int32_t[conv_h][conv_w][out_c] */
#define BF_TRANSIENT      0xFFFFFFFFu /* bf_layer.pinned: the next layer reads the map, and nobody else does */

/*
 * One layer: an accumulator for each position and filter (in layers without filters: each channel), and its output:
 * - BF_BITS: `thresholds` bits of each accumulator. Bit t of filter f is channel c = t * filters + f:
 *   bit = (accumulator + shift[c] >= 0), inverted where the channel's bit in `invert` is 1; then, where pool_h is
 *   not 0, the max-pool: OR over the window, AND in the channels of pool_and;
 * - BF_INTEGERS: the accumulator; then the max-pool;
 * - BF_SCORES, in the last layer and only there: scale * accumulator + offset.
 *
 * A convolution's accumulator is the sum over its taps of value * weight. Tap i of a filter is
 * i = (ky * kernel_w + kx) * (in_c / groups) + channel. A weight of +-1 is bit i % 32 of word i / 32 of the filter, an
 * int8 weight its byte i. Where in_thresholds is above 1, the source's channels are in_thresholds bits of each of n
 * values: channel t * n + v is bit t of value v. A group has all bits of its values, in the same order. With BF_SHARED,
 * a filter has one weight for all bits of a value.
 */
typedef struct bf_layer {
    uint8_t kind;              /* bf_kind */
    uint8_t output;            /* BF_BITS, BF_INTEGERS or BF_SCORES */
    int8_t pad_value;          /* a tap outside a map of bits: -1 or +1, or 0: it does not count. Other maps: 0 */
    uint8_t weight_bits;       /* 1: +-1; 8: int8; 0: BF_SUM, BF_CONCAT, BF_TOTAL, which have no weights */
    uint16_t in_h, in_w, in_c; /* of each source; in_c of BF_CONCAT: of all together */
    uint16_t groups;           /* 1 .. in_c; in_c / in_thresholds and out_c / thresholds are multiples of it */
    uint16_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t dilation_h, dilation_w;
    uint8_t pad_top, pad_left, pad_bottom, pad_right;
    uint16_t conv_h, conv_w; /* the map of accumulators */
    uint8_t pool_h, pool_w;  /* window of the max-pool; 0: no pool */
    uint8_t pool_stride_h, pool_stride_w;
    uint8_t pool_top, pool_left, pool_bottom, pool_right; /* rows and columns outside the map, which never win */
    uint16_t out_h, out_w, out_c;                         /* after the pool */
    uint8_t source_count;                                 /* 1 .. BF_MAX_SOURCES; more than 1: BF_SUM, BF_CONCAT */
    uint8_t thresholds;                                   /* 1 .. 8 bits of an accumulator; out_c is a multiple */
    uint16_t sources[BF_MAX_SOURCES];                     /* numbers of earlier layers, or BF_PIXELS; unused ones 0 */
    uint16_t last;         /* number of the last layer that reads this map; of the last layer: its own */
    uint8_t in_thresholds; /* 1 .. 8 bits of a value of the source */
    uint8_t flags;         /* BF_SHARED or 0. This version refuses BF_PER_POSITION */
    uint32_t pinned;       /* where the map is pinned in the arena, a byte offset, multiple of 4; or BF_TRANSIENT */
    uint32_t bound;        /* largest absolute accumulator, at most 2^30 - 1 */
    uint32_t weights;      /* offset of uint32_t[filters][words of a filter], unused high bits or bytes 0 */
    uint32_t shift;        /* offset of int32_t[out_c]: BatchShift, or the scale of the scores; 0: neither */
    uint32_t offset;       /* offset of int32_t[out_c]: offset of the scores; 0: none */
    uint32_t pool_and;     /* offset of uint32_t[(out_c + 31) / 32]: channels pooled by AND; 0: all by OR */
    uint32_t invert;       /* offset of uint32_t[(out_c + 31) / 32]: channels whose bit is inverted; 0: none */
    uint32_t name;         /* offset of a NUL-terminated string; 0: none */
    uint32_t reserved[2];  /* 0 */
} bf_layer;                /* 96 bytes */

/* ---- Kernels and plans ---- */

typedef struct bf_kernel bf_kernel;

/*
 * All kernels, X(NUMBER, value, object). A kernel runs layers of some kinds. Of a kind, the first one listed is the
 * fastest and covers the fewest shapes; the last one covers all.
 */
#define BF_KERNEL_LIST(X)                                                                                              \
    X(BF_USE_INPUT_SUMS, 0, bf_input_sums)        /* shared sums of pixels, no multiplication */                       \
    X(BF_USE_INPUT_PLAIN, 1, bf_input_conv_plain) /* every first layer */                                              \
    X(BF_USE_PATTERNS_16, 2, bf_conv_patterns_16) /* filter patterns, 16-bit lists of a plan */                        \
    X(BF_USE_PATTERNS_8, 3, bf_conv_patterns_8)   /* filter patterns, 8-bit lists of a plan */                         \
    X(BF_USE_SET_BITS, 4, bf_conv_set_bits)       /* lists of set bits, transposed weights of a plan */                \
    X(BF_USE_PATTERNS_1, 5, bf_conv_patterns_1)   /* filter patterns, lists made in RAM of the 1-bit weights */        \
    X(BF_USE_CONV_PLAIN, 6, bf_conv_plain)        /* every convolution and dense layer on bits */                      \
    X(BF_USE_WIDE_CONV, 7, bf_wide_conv)                                                                               \
    X(BF_USE_SUM, 8, bf_sum)                                                                                           \
    X(BF_USE_CONCAT, 9, bf_concat)                                                                                     \
    X(BF_USE_TOTAL, 10, bf_total)

typedef enum bf_kernel_number {
#define BF_KERNEL_ENUM(name, value, object) name = (value),
    BF_KERNEL_LIST(BF_KERNEL_ENUM)
#undef BF_KERNEL_ENUM
        BF_KERNELS /* how many there are */
} bf_kernel_number;

#define BF_KERNEL_DECLARE(name, value, object) extern const bf_kernel object;
BF_KERNEL_LIST(BF_KERNEL_DECLARE)
#undef BF_KERNEL_DECLARE
extern const bf_kernel *const bf_all_kernels[BF_KERNELS];

/*
 * Lite forms of kernels: less code, fewer layers.
 * bf_conv_patterns_..._lite: stride 1, a map as wide as the input, padding -1, no pool or 2 x 2 windows side by side,
 *     one threshold.
 * bf_input_sums_lite: any first layer without a pool or with 2 x 2 windows side by side, and with one threshold.
 * bf_..._several: the same with any number of thresholds.
 * bf_conv_patterns_..._strided: the same with any stride, width and padding that the kernel covers, but exact zeros.
 * bf_conv_plain_lite: dense layers without a pool.
 */
extern const bf_kernel bf_input_sums_lite, bf_conv_patterns_16_lite, bf_conv_patterns_8_lite, bf_conv_patterns_1_lite,
    bf_input_sums_several, bf_conv_patterns_16_several, bf_conv_patterns_8_several, bf_conv_patterns_1_several,
    bf_conv_patterns_16_strided, bf_conv_patterns_8_strided, bf_conv_patterns_1_strided, bf_conv_plain_lite;

/*
 * A plan says which kernel runs each layer on a certain kind of core, and holds what the kernels need beside the image.
 * It may follow an image: bf_open() uses a plan that was made for this image and this kind of core, and ignores any
 * other. Without a plan each layer is run by the first kernel that covers it and needs no plan. SPEC.md gives it byte
 * by byte.
 */
#define BF_PLAN_MAGIC   0x31504642u /* "BFP1" as the first four bytes of a plan */
#define BF_PLAN_VERSION 1u

typedef struct bf_plan {
    uint32_t magic;       /* BF_PLAN_MAGIC */
    uint16_t version;     /* BF_PLAN_VERSION */
    uint16_t lane_words;  /* words that kernels handle side by side: 4 on cores with MVE, else 1 */
    uint32_t size;        /* bytes of the whole plan, CRC included */
    uint32_t image;       /* CRC of the image it belongs to */
    uint32_t layer_count; /* that of the image; as many bf_choice follow */
    uint32_t reserved[3]; /* 0 */
} bf_plan;                /* 32 bytes */

typedef struct bf_choice {
    uint32_t kernel; /* bf_kernel_number */
    uint32_t memory; /* more is faster. BF_USE_PATTERNS_1: bytes of scratch for planes and lists. BF_USE_INPUT_SUMS:
                        values whose sums a table holds, 1 .. 5; 0: the library chooses. Others: 0 */
    uint32_t data;   /* offset, from the plan's first byte, of what the kernel needs, a multiple of 4; else 0 */
    uint32_t size;   /* bytes of it, a multiple of 4 */
} bf_choice;         /* 16 bytes */

/* ---- A model ---- */

/* Filled by bf_open(), or constant in generated code. Read it, do not change it. */
typedef struct bf_model {
    const uint8_t *base; /* the image's first byte */
    const bf_layer *layers;
    uint32_t layer_count;
    uint32_t size;        /* bytes of the image */
    uint32_t arena_size;  /* bytes */
    uint32_t pinned_size; /* bytes of the arena, at its low end, for maps that others than the next layer read */
    uint32_t crc;         /* the image's last four bytes: the model's name on every board */
    const bf_kernel *const *kernels; /* [BF_KERNELS], NULL where one is not used */
    const bf_plan *plan;             /* NULL: none */
    uint32_t plan_size;              /* bytes of it */
} bf_model;

/*
 * Check an image from anywhere and make a model of it. Everything is checked: size, magic, version, CRC, offsets,
 * shapes, ranges; nothing in an accepted image can lead a run outside the image, the input, the arena or the scores.
 * image: on 4 bytes, `size` bytes, owned by the caller and unchanged while the model is used.
 * Returns BF_OK or the reason; then *model is all zero.
 */
bf_status bf_open(bf_model *model, const void *image, size_t size);

/*
 * Check again, before a run, a model whose image may have been written to: offsets, shapes and sizes, all that decides
 * which memory a run touches. Contents of the arrays and the CRC are not checked: a changed weight gives
 * wrong scores, never a wild access. Takes some hundred instructions a layer, and some for each pair of maps that are
 * pinned at the same time.
 */
bf_status bf_check(const bf_model *model);

size_t bf_arena_size(const bf_model *model); /* bytes a run needs, a multiple of 4 */
size_t bf_input_size(const bf_model *model); /* bytes of one input */
unsigned bf_classes(const bf_model *model);  /* scores of one run */
const bf_header *bf_header_of(const bf_model *model);
const char *bf_name(const bf_model *model);                       /* "" if it has none */
const char *bf_label(const bf_model *model, unsigned c);          /* "" if it has none or there is no class c */
const char *bf_layer_name(const bf_model *model, unsigned layer); /* "" if it has none or there is no such layer */

/*
 * Run the network on one input. input: bf_input_size() bytes, any alignment. scores: bf_classes() numbers.
 * arena: on 4 bytes, arena_size >= bf_arena_size(); its contents before do not matter.
 */
bf_status bf_run(const bf_model *model, const void *input, int32_t *scores, void *arena, size_t arena_size);

/*
 * An input may lie in the arena itself: a run needs it until the first layer has read it, and then takes its memory for
 * maps. Such an arena has bf_shared_size() bytes, and the input begins bf_input_place() bytes behind its first. (If
 * later layers read the pixels too, that is behind all maps.)
 */
size_t bf_shared_size(const bf_model *model); /* a multiple of 4 */
size_t bf_input_place(const bf_model *model); /* a multiple of 4 */

/* Called after each layer: profile, feed a watchdog, answer Ctrl-C. Not 0: the run ends with BF_STOPPED. */
typedef struct bf_hook {
    int (*after)(void *user, unsigned layer);
    void *user;
} bf_hook;
bf_status bf_run_hooked(const bf_model *model, const void *input, int32_t *scores, void *arena, size_t arena_size,
                        const bf_hook *hook);

/* Run only the first `layers` layers (1 .. count - 1), so that bf_output() can read the map of the last of them. */
bf_status bf_run_to(const bf_model *model, const void *input, unsigned layers, void *arena, size_t arena_size);

/*
 * The map that layer `layer` left in the arena: after bf_run_to(layer + 1), before the arena is used again.
 * words: room for n >= bf_output_words() words: bits channel-packed, [out_h][out_w][(out_c + 31) / 32]; integers as
 * int32_t[out_h][out_w][out_c].
 */
size_t bf_output_words(const bf_model *model, unsigned layer); /* 0 for the scores' layer */
bf_status bf_output(const bf_model *model, unsigned layer, const void *arena, uint32_t *words, size_t n);

/* ---- From a camera to the input. ---- */

/*
 * What the pixels of a frame are: BF_FRAME_GRAY, 1 byte; BF_FRAME_RGB565, 2 bytes, red in the highest 5 bits, the low
 * byte first (framebuf's) or, BF_FRAME_RGB565_BE, the high byte first (that of most cameras); BF_FRAME_RGB888, 3 bytes,
 * red first.
 */
enum { BF_FRAME_GRAY = 0, BF_FRAME_RGB565 = 1, BF_FRAME_RGB565_BE = 2, BF_FRAME_RGB888 = 3 };

typedef struct bf_frame {
    const void *pixels;     /* the upper left one; rows from top to bottom; any alignment */
    size_t size;            /* bytes that may be read there */
    uint32_t width, height; /* pixels, 1 .. 65535 */
    uint32_t row_bytes;     /* from the start of a row to that of the next; 0: rows lie without gaps */
    uint8_t format;         /* BF_FRAME_* */
} bf_frame;

/*
 * Make a network's input of a frame, by what its header says:
 * - resize. BF_RESIZE_NONE: the sizes must be equal; BF_RESIZE_STRETCH: the whole frame is stretched; BF_RESIZE_CROP:
 *   the largest part of the input's proportions, in the middle (where a row or column is left over, one more is cut off
 *   below or on the right), is stretched. It is bilinear, over all pixels where it shrinks, and equal bit for bit to
 *   Pillow's, by which `bitflow predict` and training bring pictures to size.
 * - channels. 1: gray; colours become (19595 R + 38470 G + 7471 B + 32768) / 65536. 3: red, green, blue, or by
 *   BF_ORDER_BGR blue first; gray is repeated. RGB565 is filled up to 8 bits with its own highest bits.
 * input: room for bf_input_size() bytes, any alignment. scratch: on 4 bytes, scratch_size >= bf_picture_scratch(); the
 * arena of the coming run may serve. The frame, input and scratch do not overlap.
 * Returns BF_ERR_PICTURE where the network takes other than 1 or 3 channels of BF_UINT8, or no frame of this size (or
 * needs 256 MiB of scratch for it); BF_ERR_ARGUMENT for a frame that contradicts itself; BF_ERR_SPACE or
 * BF_ERR_ALIGNMENT for such scratch. A program that does not call it does not link it.
 */
bf_status bf_picture(const bf_model *model, const bf_frame *frame, void *input, void *scratch, size_t scratch_size);

/* Bytes of scratch for frames of a size, a multiple of 4. 0: none is needed, or bf_picture() takes no such frame. */
size_t bf_picture_scratch(const bf_model *model, uint32_t width, uint32_t height);

/* The same as a constant, for an array; for tiny frames some bytes more. to_*: of the network's input. */
#define BF_PICTURE_SCRATCH(width, height, to_width, to_height, channels)                                               \
    (((to_width) * (2u + BF_PICTURE_TAPS(width, to_width)) + 2u + BF_PICTURE_TAPS(height, to_height)) * 4u +           \
     (((to_width) * BF_PICTURE_TAPS(height, to_height) + (width)) * (channels) + 3u) / 4u * 4u)
/* Most pixels of `in` that one of `out` is made of. */
#define BF_PICTURE_TAPS(in, out) ((in) > (out) ? (2u * (in) + (out) - 1u) / (out) : 2u)

/* Index of the largest of n >= 1 scores; of equal ones the first. */
unsigned bf_argmax(const int32_t *scores, unsigned n);

/* zlib's CRC-32 of n bytes; start with crc = 0, or go on with the result of the bytes before. */
uint32_t bf_crc32(uint32_t crc, const void *bytes, size_t n);

#ifdef __cplusplus
}
#endif

#endif
