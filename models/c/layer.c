/* A layer's codes, step by step: see ../steps.py. */

#include <stdlib.h>

#include "layer.h"

enum { SMALL = 128 }; /* positions that are not worth a second thread */

/* Memory that is freed together. */
typedef struct {
    void *held[8];
    int count, failed;
} Memory;

static void *take_memory(Memory *m, int64_t count, int64_t size, int clear) {
    size_t bytes = (size_t)(count > 0 ? count : 1) * (size_t)size;
    void *found = clear ? calloc(bytes, 1) : malloc(bytes);
    if (!found) m->failed = 1;
    return m->held[m->count++] = found;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Of a layer: what is seen of coarser ones and of this one, and scratch. */
typedef struct {
    View view;
    float *trunk[2], *near, *shared;
    int16_t *known, *padded;
} Room;

static int64_t padded_for(const Layer *l, const Convolution *c) {
    if (!c) return 0;
    Convolution here = *c;
    here.h = l->h;
    here.w = l->w;
    return padded_of(&here);
}

static void make_room(Memory *m, const Layer *l, Room *r) {
    int64_t total = l->h * l->w, channels = 0, near = 0, shared = 0;
    int64_t padded = padded_for(l, l->past);
    for (int64_t i = 0; i < l->steps_count; i++) {
        Step s = l->steps[i];
        channels = most(channels, s.channels);
        if (s.beside) near = most(near, s.n);
        padded = most(padded, most(padded_for(l, s.here), padded_for(l, s.beside)));
        s.n = s.n < l->chunk ? s.n : l->chunk;
        shared = most(shared, shared_of(&s));
    }
    r->trunk[1] = take_memory(m, total * channels, sizeof(float), 0);
    r->near = take_memory(m, near * channels, sizeof(float), 0);
    r->shared = take_memory(m, shared, sizeof(float), 0);
    r->padded = take_memory(m, padded, sizeof(int16_t), 0);
    r->known = take_memory(m, 2 * total * l->known_rows, sizeof(int16_t), 1);
    if (!l->view) return;
    r->view = *l->view;
    r->trunk[0] = take_memory(m, total * channels, sizeof(float), 0);
    r->view.sum = take_memory(m, total * (l->dims + l->groups), sizeof(float), 0);
    r->view.odds = r->view.sum + total * l->dims;
    r->view.features = take_memory(m, total * r->view.channels, sizeof(int16_t), 0);
}

/* What a convolution sees of this layer; more: [h*w,channels], to be added, or NULL. */
static int look_here(const Layer *l, const Room *r, const Convolution *c, const Step *s,
                     const float *more, float *out, Crew *crew) {
    Convolution v = *c;
    const int16_t *known = r->known + c->dim;
    v.h = l->h;
    v.w = l->w;
    for (int64_t i = 0; i < 2; i++) v.x[i] = known + (c->plane + i) % 2 * l->h * l->w * l->known_rows;
    v.apart = l->known_rows;
    v.more = more;
    v.n = s ? s->n : l->h * l->w;
    v.where = s ? s->where : NULL;
    v.out = out;
    v.padded = r->padded;
    return convolve(&v, crew);
}

static int look_back(const Layer *l, const Room *r, Crew *crew) {
    Convolution v = *l->past;
    v.h = l->h;
    v.w = l->w;
    v.x[0] = v.x[1] = r->view.features;
    v.apart = r->view.channels;
    v.n = l->h * l->w;
    v.out = r->trunk[0];
    v.padded = r->padded;
    int wrong = view(&r->view, crew);
    return wrong ? wrong : convolve(&v, crew);
}

/* A step without its pieces: where all that it needs lies. */
static Step prepared(const Layer *l, const Room *r, const Step *of) {
    Step s = *of;
    int64_t total = l->h * l->w;
    s.mode = l->mode;
    s.total = total;
    s.codes = l->codes + s.group * total;
    if (l->view) {
        s.odds = r->view.odds + s.group;
        s.odds_stride = l->groups;
        s.before = l->view->codes[l->view->layers - 1] + s.group * total;
    }
    if (s.look_stride) {
        s.known = r->known + s.dim;
        s.known_rows = l->known_rows;
        s.known_stride = total * l->known_rows;
    }
    if (l->mode == CHOOSE) {
        s.latent = l->latent + s.dim * total;
        s.sum = l->view ? r->view.sum + s.dim : NULL;
        s.dims = l->dims;
        s.rate_lambda = l->rate_lambda;
    }
    return s;
}

static int run(const Layer *l, Coder *coder, const Room *r, Crew *crew) {
    const float *trunk = NULL;
    int wrong = FINE;
    if (l->view) {
        wrong = look_back(l, r, crew);
        trunk = r->trunk[0];
    }
    for (int64_t i = 0; i < l->steps_count && !wrong; i++) {
        Step s = prepared(l, r, l->steps + i);
        if (s.here) {
            wrong = look_here(l, r, s.here, NULL, trunk, r->trunk[1], crew);
            trunk = r->trunk[1];
        }
        if (s.beside && !wrong) wrong = look_here(l, r, s.beside, &s, NULL, r->near, crew);
        s.trunk = trunk;
        for (int64_t from = 0, all = s.n; from < all && !wrong; from += l->chunk) {
            s.n = all - from < l->chunk ? all - from : l->chunk;
            s.near = s.beside ? r->near + from * s.channels : NULL;
            if (s.where) s.where = l->steps[i].where + from;
            else s.first = from;
            wrong = code_step(&s, coder, r->shared, crew);
        }
    }
    return wrong;
}

/* Code a layer; without a coder its codes are only chosen.
 *
 * An encoder needs room for 6 bytes a code and 16 more. */
EXPORT int code_layer(const Layer *l, Coder *coder, int64_t threads) {
    Memory memory = {.count = 0};
    Room room = {.near = NULL};
    Crew crew;
    int wrong = NO_MEMORY;
    make_room(&memory, l, &room);
    if (!memory.failed) {
        gather_crew(&crew, l->h * l->w > SMALL ? threads : 1);
        wrong = run(l, coder, &room, &crew);
        dismiss(&crew);
    }
    for (int i = 0; i < memory.count; i++) free(memory.held[i]);
    return wrong;
}

/* So that the caller can see that it means the same by its structures. */
EXPORT int64_t size_of_layer(void) { return sizeof(Layer); }

EXPORT int64_t size_of_step(void) { return sizeof(Step); }

EXPORT int64_t size_of_view(void) { return sizeof(View); }

EXPORT int64_t size_of_convolution(void) { return sizeof(Convolution); }

EXPORT int64_t size_of_coder(void) { return sizeof(Coder); }

/* So that it can be built as a module, which nobody imports. */
EXPORT void *PyInit__kernels(void) { return NULL; }
