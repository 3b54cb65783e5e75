/*
 * conv_patterns.c - convolution on bits by filter patterns, on bit planes: the kernels.
 *
 * There are three, by where the lists of a quad come from: 8-bit or 16-bit lists of a plan, or lists that are made in
 * scratch of the 1-bit weights, for as many quads at a time as there is memory for. For each such part of the quads the
 * planes of every block are laid out again, unless scratch has room for the planes of all blocks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "../patterns/blocks.h"
#include "../patterns/border.h"
#include "../patterns/copies.h"
#include "../patterns/lists.h"
#include "../patterns/sort.h"
#include "../planes/handover.h"
#include "../planes/planes.h"

/* Where things lie in scratch, in words from its beginning. */
typedef struct memory {
    size_t copies, counts, tables, planes, records, lists, end;
    uint32_t part;   /* quads whose lists are made at a time */
    uint32_t blocks; /* whose planes lie in scratch: all or one */
} memory;

#define COUNT_WORDS (sizeof(bf_count) / sizeof(uint32_t))
#define LANES_WORDS (sizeof(bf_lanes) / sizeof(uint32_t))

/* Shares `words` words among planes, records and lists, so that there are as few turns over the blocks as possible. */
BF_COLD static void share(const bf_geometry *k, size_t words, memory *m) {
    const size_t planes = (size_t)k->planes * LANES_WORDS;
    const size_t quad = k->record + bf_list_words(k);
    size_t left = words > planes ? words - planes : 0;
    m->blocks = 1;
    if (left / quad < k->quads && words > quad && (words - quad) / planes >= k->blocks) {
        m->blocks = k->blocks;
        left = words - planes * k->blocks;
    }
    m->part = left / quad < k->quads ? (uint32_t)(left / quad) : k->quads;
    if (m->part == 0) {
        m->part = 1;
    }
}

/* With lists of a plan. */
BF_COLD static void memory_of(const bf_job *job, const bf_geometry *k, memory *m) {
    m->copies = bf_planes_scratch(job);
    m->counts = m->copies + k->copies_words;
    m->tables = m->counts + (BF_PATTERNS + 1u) * COUNT_WORDS;
    m->planes = m->tables + (size_t)k->tables * BF_BORDER_TABLE * LANES_WORDS;
    m->end = m->planes + (size_t)k->planes * LANES_WORDS;
}

/* With lists that are made. */
BF_COLD static void memory_for_lists(const bf_job *job, const bf_geometry *k, memory *m) {
    memory_of(job, k, m);
    share(k, (job->choice ? job->choice->memory : BF_LIST_MEMORY) / sizeof(uint32_t), m);
    m->records = m->planes + (size_t)m->blocks * k->planes * LANES_WORDS;
    m->lists = m->records + (size_t)m->part * k->record;
    m->end = m->lists + (size_t)m->part * bf_list_words(k);
}

/* ---- The kernels. ---- */

/* Writes the bits of a quad's filters to their channels. stride: words from channel to channel. */
static inline void put(uint32_t *page, uint32_t stride, const bf_quad *quad, const bf_lanes *bits) {
    *(bf_lanes *)(void *)(page + quad->row[0] * stride) = bits[0];
    *(bf_lanes *)(void *)(page + quad->row[1] * stride) = bits[1];
    *(bf_lanes *)(void *)(page + quad->row[2] * stride) = bits[2];
    *(bf_lanes *)(void *)(page + quad->row[3] * stride) = bits[3];
}

/* The same for each threshold, four bits in a row. */
static inline void put_each(const bf_block *b, const bf_quad *quad, const bf_lanes *bits) {
    const uint32_t filters = b->k->filters * b->stride;
    for (uint32_t n = 0; n < b->k->thresholds; n++, bits += BF_QUAD) {
        put(b->page + bf_threshold_at(quad, n) * filters, b->stride, quad, bits);
    }
}

/* Runs quads of one page. Returns the end of their lists. (Members of b are copied so that they stay in registers.) */
static const void *run_plain(const bf_block *b, const uint32_t *record, const void *list, uint32_t quads) {
    const uint32_t digits = b->k->digits, stride = b->stride;
    const bf_quad *quad = (const bf_quad *)(const void *)record;
    const bf_quad *const end = quad + quads;
    const bf_lanes *const planes = b->planes;
    bf_adder *const add = b->add;
    bf_count *const counts = b->counts;
    uint32_t *const page = b->page;
    for (; quad != end; quad++) {
        const uint32_t first = quad->first;
        bf_lanes bits[BF_QUAD];
        list = add(planes, list, counts, BF_START(first & BF_FIRST_LIMIT ? 0u : first, BF_PATTERNS));
        bf_compare(counts, quad->limit, digits, bits);
        if (first & BF_FIRST_LIMIT) {
            bits[0] = bf_less_than(&counts[BF_PATTERNS - 1u], first & ~BF_FIRST_LIMIT, digits);
        }
        put(page, stride, quad, bits);
    }
    return list;
}

/* The same with any number of thresholds. Where a form has it for one as well, it links no bf_compare(). */
static const void *run_several(const bf_block *b, const uint32_t *record, const void *list, uint32_t quads) {
    const uint32_t digits = b->k->digits, thresholds = b->k->thresholds, step = b->k->record;
    bf_count *const counts = b->counts;
    for (; quads; quads--, record += step) {
        const bf_quad *quad = (const bf_quad *)(const void *)record;
        const uint32_t number = quad->first & BF_FIRST_NUMBER, undecided = quad->first & BF_FIRST_LIMIT;
        bf_lanes bits[BF_QUAD * BF_MAX_THRESHOLDS];
        list = b->add(b->planes, list, counts, BF_START(undecided ? 0u : number, BF_PATTERNS));
        bf_compare_several(counts, bf_limits_of(quad), digits, bits, thresholds);
        if (undecided) {
            bits[0] = bf_less_than(&counts[BF_PATTERNS - 1u], number, digits);
        }
        put_each(b, quad, bits);
    }
    return list;
}

BF_COLD static const void *run_slow(const bf_block *b, const bf_quad *quad, const void *list) {
    bf_lanes bits[BF_QUAD * BF_MAX_THRESHOLDS];
    list = bf_run_border(b, quad, list, bits);
    put_each(b, quad, bits);
    return list;
}

/* The same with exact zero padding. */
static const void *run_border(const bf_block *b, const uint32_t *record, const void *list, uint32_t quads) {
    const uint32_t step = b->k->record, digits = b->k->digits, stride = b->stride;
    const uint32_t several = (b->tables - 1u) | (b->k->thresholds - 1u);
    const uint32_t *border = record + sizeof(bf_quad) / sizeof(uint32_t) + b->border[0] * BF_BORDER_WORDS;
    const bf_lanes *const table = b->table;
    bf_count *const counts = b->counts;
    uint32_t *const page = b->page;
    for (; quads; quads--, record += step, border += step) {
        const bf_quad *quad = (const bf_quad *)(const void *)record;
        if (quad->first | several) {
            list = run_slow(b, quad, list);
        } else {
            bf_lanes bits[BF_QUAD];
            bf_look_up(border, table, digits, counts[0].digit);
            list = b->add(b->planes, list, counts, BF_START(0, BF_PATTERNS) | BF_START_IS_SET);
            bf_compare_each(counts, border + 3, digits, table, bits);
            put(page, stride, quad, bits);
        }
    }
    return list;
}

typedef const void *bf_runner(const bf_block *b, const uint32_t *record, const void *list, uint32_t quads);

/* The code for exact zeros. */
typedef struct exact_code {
    void (*border_of)(bf_geometry *k);
    void (*find_borders)(bf_block *b, uint32_t number);
    bf_runner *run;
} exact_code;

static const exact_code exact = {bf_border_of, bf_find_borders, run_border};

/* How the kernels differ. What a form leaves NULL it does not cover, and the linker drops its code. */
typedef struct form {
    uint32_t chunk; /* channels between fillers in lists, 0: all */
    bf_adder *add;
    bf_runner *plain;   /* runs quads with one threshold */
    bf_runner *several; /* with several */
    void (*copy)(const bf_geometry *k, const uint32_t *planes,
                 uint32_t *copies); /* of an input that taps cannot read */
    const exact_code *exact;
    bf_plane_pool *pool; /* of windows other than 2 x 2 side by side */
    bf_limits *limits;   /* for lists that are made; exact padding */
} form;

BF_COLD static void geometry_of(const form *own, const bf_layer *layer, bf_geometry *k) {
    bf_geometry_of(layer, own->chunk, k);
    if (k->exact) {
        own->exact->border_of(k);
    }
}

/* One run of a layer. */
typedef struct convolution {
    bf_geometry k;
    memory m;
    bf_block b;
    const form *own;
    const uint32_t *from; /* the input as planes, or copies of it */
    bf_lanes *planes;
} convolution;

/* Runs quads from number `first` on. */
BF_COLD static void run_quads(convolution *c, const uint32_t *record, const void *list, uint32_t first,
                              uint32_t quads) {
    bf_block *b = &c->b;
    while (quads) {
        const uint32_t room = BF_PAGE - first % BF_PAGE;
        const uint32_t n = quads < room ? quads : room;
        b->page = b->to + (size_t)(first / BF_PAGE * BF_PAGE * BF_QUAD) * b->stride;
        list = (b->k->exact             ? c->own->exact->run
                : b->k->thresholds > 1u ? c->own->several
                                        : c->own->plain)(b, record, list, n);
        record += (size_t)n * b->k->record;
        first += n;
        quads -= n;
    }
}

BF_COLD static void begin(const bf_job *job, convolution *c) {
    c->own = (const form *)job->kernel->form;
    geometry_of(c->own, job->layer, &c->k);
    memory_of(job, &c->k, &c->m);
    c->from = bf_input_planes(job);
    if (c->k.source != BF_INPUT) {
        c->own->copy(&c->k, c->from, job->scratch + c->m.copies);
        c->from = job->scratch + c->m.copies;
    }
    c->planes = (bf_lanes *)(void *)(job->scratch + c->m.planes);
    c->b.k = &c->k;
    c->b.add = c->own->add;
    c->b.counts = (bf_count *)(void *)(job->scratch + c->m.counts);
    c->b.table = (bf_lanes *)(void *)(job->scratch + c->m.tables);
    c->b.stride = bf_words_of_plane(c->k.positions);
    c->b.whole = c->b.tables = 0;
}

BF_COLD static void done(const bf_job *job, const convolution *c) {
    bf_planes_done(job, c->own->pool);
}

BF_COLD static void begin_block(convolution *c, uint32_t *to, uint32_t number) {
    c->b.to = to + (size_t)number * LANES_WORDS;
    if (c->k.exact) {
        c->own->exact->find_borders(&c->b, number);
    }
}

BF_COLD static void run_planned(const bf_job *job) {
    const uint32_t *records = (const uint32_t *)bf_plan_data(job);
    uint32_t *to = bf_output_planes(job);
    convolution c;
    begin(job, &c);
    bf_zero_fillers(&c.k, c.planes);
    c.b.planes = c.planes;
    for (uint32_t i = 0; i < c.k.blocks; i++) {
        begin_block(&c, to, i);
        bf_planes_of_block(&c.k, c.from, i, c.planes);
        run_quads(&c, records, records + (size_t)c.k.quads * c.k.record, 0, c.k.quads);
    }
    done(job, &c);
}

/* Makes the lists and records of `quads` quads from number `first` on. */
BF_COLD static void make_lists(const bf_job *job, const convolution *c, uint32_t first, uint32_t quads) {
    const bf_sizes *sizes = job->choice && job->choice->size ? (const bf_sizes *)bf_plan_data(job) : NULL;
    uint32_t *record = job->scratch + c->m.records;
    uint16_t *list = (uint16_t *)(void *)(job->scratch + c->m.lists);
    for (uint32_t g = first; g < first + quads; g++, record += c->k.record) {
        bf_quad *quad = (bf_quad *)(void *)record;
        uint16_t rows[BF_QUAD], counted[BF_PATTERNS];
        for (uint32_t j = 0; j < BF_QUAD; j++) {
            quad->row[j] = sizes ? sizes[g].row[j] : (uint8_t)(g % BF_PAGE * BF_QUAD + j);
            rows[j] = (uint16_t)(g / BF_PAGE * BF_PAGE * BF_QUAD + quad->row[j]);
        }
        if (!sizes) {
            bf_count_patterns(job->model, &c->k, rows, counted);
        }
        list = bf_make_list(job->model, &c->k, rows, sizes ? sizes[g].size : counted,
                            c->k.exact ? c->own->limits : bf_plain_limits, list, record);
    }
}

BF_COLD static void run_made(const bf_job *job) {
    uint32_t *to = bf_output_planes(job);
    convolution c;
    begin(job, &c);
    memory_for_lists(job, &c.k, &c.m);
    for (uint32_t i = 0; i < c.m.blocks; i++) {
        bf_zero_fillers(&c.k, c.planes + (size_t)i * c.k.planes);
    }
    for (uint32_t g = 0; g < c.k.quads; g += c.m.part) {
        const uint32_t quads = c.k.quads - g < c.m.part ? c.k.quads - g : c.m.part;
        make_lists(job, &c, g, quads);
        for (uint32_t i = 0; i < c.k.blocks; i++) {
            bf_lanes *planes = c.planes + (c.m.blocks > 1u ? (size_t)i * c.k.planes : 0u);
            begin_block(&c, to, i);
            if (g == 0 || c.m.blocks == 1u) {
                bf_planes_of_block(&c.k, c.from, i, planes);
            }
            c.b.planes = planes;
            run_quads(&c, job->scratch + c.m.records, job->scratch + c.m.lists, g, quads);
        }
    }
    done(job, &c);
}

/* Lists that are made in every run pay from BF_MAKING_PAYS positions on. */
BF_COLD static int covers(const bf_kernel *kernel, const bf_layer *layer) {
    const form *own = (const form *)kernel->form;
    bf_geometry k;
    if (!(kernel->flags & BF_NEEDS_PLAN) && (uint32_t)layer->conv_h * layer->conv_w < BF_MAKING_PAYS) {
        return 0;
    }
    return bf_patterns_cover(layer, own->chunk, &k) && (own->several || k.thresholds == 1u) &&
           (own->copy || k.source == BF_INPUT) && (own->exact || !k.exact) && (own->pool || bf_is_by_two(layer));
}

BF_COLD static size_t scratch_planned(const bf_job *job) {
    bf_geometry k;
    memory m;
    geometry_of((const form *)job->kernel->form, job->layer, &k);
    memory_of(job, &k, &m);
    return m.end * sizeof(uint32_t);
}

BF_COLD static size_t scratch_made(const bf_job *job) {
    bf_geometry k;
    memory m;
    geometry_of((const form *)job->kernel->form, job->layer, &k);
    memory_for_lists(job, &k, &m);
    return m.end * sizeof(uint32_t);
}

#define PLANNED (BF_INPUT_PLANES | BF_OUTPUT_PLANES | BF_NEEDS_PLAN)
#define MADE    (BF_INPUT_PLANES | BF_OUTPUT_PLANES)

/* The forms of a kernel, from the one with all code to that with the least. */
#define FORMS(kernel, chunk, add, limits, flags, scratch, run)                                                         \
    static const form full_##kernel = {chunk,         add,    run_plain,       run_several,                            \
                                       bf_copy_input, &exact, bf_pool_windows, limits};                                \
    static const form strided_##kernel = {chunk, add, run_several, run_several, bf_copy_input, NULL, NULL, NULL};      \
    static const form several_##kernel = {chunk, add, run_several, run_several, NULL, NULL, NULL, NULL};               \
    static const form lite_##kernel = {chunk, add, run_plain, NULL, NULL, NULL, NULL, NULL};                           \
    const bf_kernel bf_conv_##kernel = {1u << BF_CONV, flags, covers, scratch, run, &full_##kernel};                   \
    const bf_kernel bf_conv_##kernel##_strided = {1u << BF_CONV, flags, covers, scratch, run, &strided_##kernel};      \
    const bf_kernel bf_conv_##kernel##_several = {1u << BF_CONV, flags, covers, scratch, run, &several_##kernel};      \
    const bf_kernel bf_conv_##kernel##_lite = {1u << BF_CONV, flags, covers, scratch, run, &lite_##kernel}

FORMS(patterns_16, 0, bf_add_lists16, NULL, PLANNED, scratch_planned, run_planned);
FORMS(patterns_8, BF_LIST8_CHANNELS, bf_add_lists8, NULL, PLANNED, scratch_planned, run_planned);
FORMS(patterns_1, 0, bf_add_lists16, bf_border_limits, MADE, scratch_made, run_made);
