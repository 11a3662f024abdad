/* Work that is spread over threads, which live as long as the work: nothing is left for a fork. */

#ifndef THREADS_H
#define THREADS_H

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "common.h"

enum { MOST = 16, LEAST = 8 }; /* threads; blocks that are worth one */

typedef int Task(const void *about, void *shared, int64_t from, int64_t to);

typedef struct {
    Task *task;
    const void *about;
    void *shared;
    int64_t from, to;
    int wrong;
} Work;

static void *work(void *argument) {
    Work *w = argument;
    w->wrong = w->task(w->about, w->shared, w->from, w->to);
    return NULL;
}

/* Do a task for 0..over in parts of whole blocks, on so many threads at most; what went wrong. */
static int spread(Task *task, const void *about, void *shared, int64_t over, int64_t block,
                  int64_t threads) {
    Work works[MOST];
    pthread_t others[MOST];
    int running[MOST] = {0}, count = 0, wrong = FINE;
    if (threads > MOST) threads = MOST;
    if (threads > over / (LEAST * block)) threads = over / (LEAST * block);
    if (threads < 1) threads = 1;
    int64_t part = (over + threads * block - 1) / (threads * block) * block;
    for (int64_t from = 0; from < over; from += part, count++)
        works[count] = (Work){task, about, shared, from, over - from < part ? over : from + part, 0};
    for (int i = 1; i < count; i++) running[i] = !pthread_create(others + i, NULL, work, works + i);
    for (int i = 0; i < count; i++) {
        if (running[i]) pthread_join(others[i], NULL);
        else work(works + i);
    }
    for (int i = 0; i < count; i++) wrong = wrong ? wrong : works[i].wrong;
    return wrong;
}

#endif
