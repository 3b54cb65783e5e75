/*
 * conv_patterns.c - convolution on bits by filter classes, on strings: the kernels.
 *
 * Three of them, which differ in where the lists of a group come from: 8-bit or 16-bit lists lie in a plan; or they are
 * made of the 1-bit weights in scratch, for as many groups at a time as there is memory for. Then either the planes of
 * every block are laid out again for each such part, or those of all blocks are kept.
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
    uint32_t part;   /* groups whose lists are made at a time */
    uint32_t blocks; /* whose planes are kept: all or one */
} memory;

#define COUNT_WORDS (sizeof(bf_count) / sizeof(uint32_t))
#define LANES_WORDS (sizeof(bf_lanes) / sizeof(uint32_t))

/* How to use some words for planes, records and lists: as few turns over the blocks as they allow, but at least one. */
BF_COLD static void share(const bf_geometry *k, size_t words, memory *m) {
    const size_t planes = (size_t)k->planes * LANES_WORDS;
    const size_t group = k->record + bf_list_words(k);
    size_t left = words > planes ? words - planes : 0;
    m->blocks = 1;
    if (left / group < k->groups && words > group && (words - group) / planes >= k->blocks) {
        m->blocks = k->blocks;
        left = words - planes * k->blocks;
    }
    m->part = left / group < k->groups ? (uint32_t)(left / group) : k->groups;
    if (m->part == 0) {
        m->part = 1;
    }
}

/* Where lists lie in a plan. */
BF_COLD static void memory_of(const bf_job *job, const bf_geometry *k, memory *m) {
    m->copies = bf_strings_scratch(job);
    m->counts = m->copies + k->copies_words;
    m->tables = m->counts + (BF_CLASSES + 1u) * COUNT_WORDS;
    m->planes = m->tables + (size_t)k->passes * BF_TABLE * LANES_WORDS;
    m->end = m->planes + (size_t)k->planes * LANES_WORDS;
}

/* Where they are made. */
BF_COLD static void memory_for_lists(const bf_job *job, const bf_geometry *k, memory *m) {
    memory_of(job, k, m);
    share(k, (job->choice ? job->choice->memory : BF_LIST_MEMORY) / sizeof(uint32_t), m);
    m->records = m->planes + (size_t)m->blocks * k->planes * LANES_WORDS;
    m->lists = m->records + (size_t)m->part * k->record;
    m->end = m->lists + (size_t)m->part * bf_list_words(k);
}

/* ---- The kernels. ---- */

/* The bits of a group's filters to their channels. stride: words from channel to channel. */
static inline void put(uint32_t *page, uint32_t stride, const bf_group *group, const bf_lanes *bits) {
    *(bf_lanes *)(void *)(page + group->row[0] * stride) = bits[0];
    *(bf_lanes *)(void *)(page + group->row[1] * stride) = bits[1];
    *(bf_lanes *)(void *)(page + group->row[2] * stride) = bits[2];
    *(bf_lanes *)(void *)(page + group->row[3] * stride) = bits[3];
}

/* Groups of one page. Returns the end of their lists. (What b holds is copied, so that it need not be read again.) */
static const void *run_plain(const bf_block *b, const uint32_t *record, const void *list, uint32_t groups) {
    const uint32_t width = b->k->width, stride = b->stride;
    const bf_group *group = (const bf_group *)(const void *)record;
    const bf_group *const end = group + groups;
    const bf_lanes *const planes = b->planes;
    bf_adder *const add = b->add;
    bf_count *const counts = b->counts;
    uint32_t *const page = b->page;
    for (; group != end; group++) {
        const uint32_t first = group->first;
        bf_lanes bits[BF_GROUP];
        list = add(planes, list, counts, BF_START(first & BF_FIRST_LIMIT ? 0u : first, BF_CLASSES));
        bf_compare(counts, group->limit, width, bits);
        if (first & BF_FIRST_LIMIT) {
            bits[0] = bf_less_than(&counts[BF_CLASSES - 1u], first & ~BF_FIRST_LIMIT, width);
        }
        put(page, stride, group, bits);
    }
    return list;
}

/* The same where lanes have limits of their own. */
static const void *run_exact(const bf_block *b, const uint32_t *record, const void *list, uint32_t groups) {
    const uint32_t step = b->k->record, width = b->k->width, several = b->passes - 1u, stride = b->stride;
    const uint32_t *pack = record + sizeof(bf_group) / sizeof(uint32_t) + b->pack[0] * BF_PACK_WORDS;
    const bf_lanes *const tables = b->tables;
    bf_count *const counts = b->counts;
    uint32_t *const page = b->page;
    for (; groups; groups--, record += step, pack += step) {
        const bf_group *group = (const bf_group *)(const void *)record;
        bf_lanes bits[BF_GROUP];
        if (group->first | several) {
            list = bf_run_passes(b, group, list, bits);
        } else {
            bf_look_up(pack, tables, width, counts[0].plane);
            list = b->add(b->planes, list, counts, BF_START(0, BF_CLASSES) | BF_START_IS_SET);
            bf_compare_each(counts, pack + 3, width, tables, bits);
        }
        put(page, stride, group, bits);
    }
    return list;
}

/*
 * What usual layers do without: those whose taps all count and are read in the input itself, with the pool that most
 * networks have. It hangs on a pointer, which kernels of usual layers do not have, so that it is not linked with them.
 */
typedef struct unusual {
    void (*sets)(bf_geometry *k);
    void (*copy)(const bf_geometry *k, const uint32_t *strings, uint32_t *copies);
    void (*find_packs)(bf_block *b, uint32_t number);
    const void *(*run_exact)(const bf_block *b, const uint32_t *record, const void *list, uint32_t groups);
    bf_string_pool *pool;
} unusual;

static const unusual all_else = {bf_sets_of, bf_copy_input, bf_find_packs, run_exact, bf_pool_windows};

/* In what the kernels differ. */
typedef struct form {
    uint32_t chunk; /* channels between fillers in lists, 0: all */
    bf_adder *add;
    const unusual *more; /* NULL: for usual layers only */
    bf_limits *limits;   /* of lists that are made, where exact */
} form;

BF_COLD static void geometry_of(const form *own, const bf_layer *layer, bf_geometry *k) {
    bf_geometry_of(layer, own->chunk, k);
    if (k->exact) {
        own->more->sets(k);
    }
}

/* One run of a layer. */
typedef struct convolution {
    bf_geometry k;
    memory m;
    bf_block b;
    const form *own;
    const uint32_t *from; /* the input as strings, or copies of it */
    bf_lanes *planes;
} convolution;

/* Groups from number `first` on. */
BF_COLD static void run_groups(convolution *c, const uint32_t *record, const void *list, uint32_t first,
                               uint32_t groups) {
    bf_block *b = &c->b;
    while (groups) {
        const uint32_t room = BF_PAGE - first % BF_PAGE;
        const uint32_t n = groups < room ? groups : room;
        b->page = b->to + (size_t)(first / BF_PAGE * BF_PAGE * BF_GROUP) * b->stride;
        list = (b->k->exact ? c->own->more->run_exact : run_plain)(b, record, list, n);
        record += (size_t)n * b->k->record;
        first += n;
        groups -= n;
    }
}

BF_COLD static void begin(const bf_job *job, convolution *c) {
    c->own = (const form *)job->kernel->form;
    geometry_of(c->own, job->layer, &c->k);
    memory_of(job, &c->k, &c->m);
    c->from = bf_strings_of(job);
    if (c->k.source != BF_INPUT) {
        c->own->more->copy(&c->k, c->from, job->scratch + c->m.copies);
        c->from = job->scratch + c->m.copies;
    }
    c->planes = (bf_lanes *)(void *)(job->scratch + c->m.planes);
    c->b.k = &c->k;
    c->b.add = c->own->add;
    c->b.counts = (bf_count *)(void *)(job->scratch + c->m.counts);
    c->b.tables = (bf_lanes *)(void *)(job->scratch + c->m.tables);
    c->b.stride = bf_string_words(c->k.positions);
    c->b.whole = c->b.passes = 0;
}

BF_COLD static void done(const bf_job *job, const convolution *c) {
    bf_strings_done(job, c->own->more ? c->own->more->pool : NULL);
}

BF_COLD static void begin_block(convolution *c, uint32_t *to, uint32_t number) {
    c->b.to = to + (size_t)number * LANES_WORDS;
    if (c->k.exact) {
        c->own->more->find_packs(&c->b, number);
    }
}

BF_COLD static void run_planned(const bf_job *job) {
    const uint32_t *records = (const uint32_t *)bf_plan_data(job);
    uint32_t *to = bf_strings_to(job);
    convolution c;
    begin(job, &c);
    bf_zero_fillers(&c.k, c.planes);
    c.b.planes = c.planes;
    for (uint32_t i = 0; i < c.k.blocks; i++) {
        begin_block(&c, to, i);
        bf_planes_of_block(&c.k, c.from, i, c.planes);
        run_groups(&c, records, records + (size_t)c.k.groups * c.k.record, 0, c.k.groups);
    }
    done(job, &c);
}

/* Lists and records of `groups` groups from number `first` on. */
BF_COLD static void make_lists(const bf_job *job, const convolution *c, uint32_t first, uint32_t groups) {
    const bf_sizes *sizes = job->choice && job->choice->size ? (const bf_sizes *)bf_plan_data(job) : NULL;
    uint32_t *record = job->scratch + c->m.records;
    uint16_t *list = (uint16_t *)(void *)(job->scratch + c->m.lists);
    for (uint32_t g = first; g < first + groups; g++, record += c->k.record) {
        bf_group *group = (bf_group *)(void *)record;
        uint16_t rows[BF_GROUP], counted[BF_CLASSES];
        for (uint32_t j = 0; j < BF_GROUP; j++) {
            group->row[j] = sizes ? sizes[g].row[j] : (uint8_t)(g % BF_PAGE * BF_GROUP + j);
            rows[j] = (uint16_t)(g / BF_PAGE * BF_PAGE * BF_GROUP + group->row[j]);
        }
        if (!sizes) {
            bf_count_classes(job->model, &c->k, rows, counted);
        }
        list = bf_make_list(job->model, &c->k, rows, sizes ? sizes[g].size : counted,
                            c->k.exact ? c->own->limits : bf_plain_limits, list, record);
    }
}

BF_COLD static void run_made(const bf_job *job) {
    uint32_t *to = bf_strings_to(job);
    convolution c;
    begin(job, &c);
    memory_for_lists(job, &c.k, &c.m);
    for (uint32_t i = 0; i < c.m.blocks; i++) {
        bf_zero_fillers(&c.k, c.planes + (size_t)i * c.k.planes);
    }
    for (uint32_t g = 0; g < c.k.groups; g += c.m.part) {
        const uint32_t groups = c.k.groups - g < c.m.part ? c.k.groups - g : c.m.part;
        make_lists(job, &c, g, groups);
        for (uint32_t i = 0; i < c.k.blocks; i++) {
            bf_lanes *planes = c.planes + (c.m.blocks > 1u ? (size_t)i * c.k.planes : 0u);
            begin_block(&c, to, i);
            if (g == 0 || c.m.blocks == 1u) {
                bf_planes_of_block(&c.k, c.from, i, planes);
            }
            c.b.planes = planes;
            run_groups(&c, job->scratch + c.m.records, job->scratch + c.m.lists, g, groups);
        }
    }
    done(job, &c);
}

/* Lists that are made anew in every run pay from some positions on. */
BF_COLD static int covers(const bf_kernel *kernel, const bf_layer *layer) {
    const form *own = (const form *)kernel->form;
    bf_geometry k;
    if (!(kernel->flags & BF_NEEDS_PLAN) && (uint32_t)layer->conv_h * layer->conv_w < BF_MAKING_PAYS) {
        return 0;
    }
    return bf_classes_cover(layer, own->chunk, &k) &&
           (own->more || (k.source == BF_INPUT && !k.exact && bf_is_by_two(layer)));
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

#define PLANNED (BF_TAKES_STRINGS | BF_GIVES_STRINGS | BF_NEEDS_PLAN)
#define MADE    (BF_TAKES_STRINGS | BF_GIVES_STRINGS)

static const form any_16 = {0, bf_add_lists16, &all_else, NULL}, usual_16 = {0, bf_add_lists16, NULL, NULL};
static const form any_8 = {BF_LIST8_CHANNELS, bf_add_lists8, &all_else, NULL};
static const form usual_8 = {BF_LIST8_CHANNELS, bf_add_lists8, NULL, NULL};
static const form any_1 = {0, bf_add_lists16, &all_else, bf_exact_limits};

const bf_kernel bf_conv_patterns_16 = {1u << BF_CONV, PLANNED, covers, scratch_planned, run_planned, &any_16};
const bf_kernel bf_conv_patterns_8 = {1u << BF_CONV, PLANNED, covers, scratch_planned, run_planned, &any_8};
const bf_kernel bf_conv_patterns_1 = {1u << BF_CONV, MADE, covers, scratch_made, run_made, &any_1};
const bf_kernel bf_conv_patterns_16_lite = {1u << BF_CONV, PLANNED, covers, scratch_planned, run_planned, &usual_16};
const bf_kernel bf_conv_patterns_8_lite = {1u << BF_CONV, PLANNED, covers, scratch_planned, run_planned, &usual_8};
const bf_kernel bf_conv_patterns_1_lite = {1u << BF_CONV, MADE, covers, scratch_made, run_made, &usual_16};
