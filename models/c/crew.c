/* The captain writes a job on the board; whoever is free takes shares of it. */

#include "crew.h"

#include <sched.h>

#include "common.h"

enum { PATIENCE = 20000 }; /* looks at the board before a thread sleeps */

/* Between looks; now and then another thread may need the processor. */
static void breathe(int64_t looks) {
    if (looks % 64 == 63) sched_yield();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Take a share of the job and do it; whether there was one.
 *
 * Whoever takes a share keeps the job from being over, so its fields stay as they are. */
static int lend_a_hand(Crew *c) {
    uint64_t board = __atomic_load_n(&c->board, __ATOMIC_ACQUIRE);
    if (!(uint32_t)board) return 0;
    if (!__atomic_compare_exchange_n(&c->board, &board, board - 1, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return 1;
    int64_t from = (int64_t)((uint32_t)board - 1) * c->share, to = from + c->share;
    int wrong = c->task(c->about, from, to < c->over ? to : c->over);
    if (wrong) __atomic_store_n(&c->wrong, wrong, __ATOMIC_RELAXED);
    __atomic_add_fetch(&c->done, 1, __ATOMIC_RELEASE);
    return 1;
}

static void *help(void *argument) {
    Crew *c = argument;
    for (int64_t idle = 0; !__atomic_load_n(&c->over_and_out, __ATOMIC_ACQUIRE);) {
        if (lend_a_hand(c)) {
            idle = 0;
        } else if (idle < PATIENCE) {
            breathe(idle++);
        } else {
            pthread_mutex_lock(&c->mutex);
            __atomic_add_fetch(&c->sleeping, 1, __ATOMIC_SEQ_CST);
            while (!(uint32_t)__atomic_load_n(&c->board, __ATOMIC_SEQ_CST) &&
                   !__atomic_load_n(&c->over_and_out, __ATOMIC_SEQ_CST))
                pthread_cond_wait(&c->news, &c->mutex);
            __atomic_sub_fetch(&c->sleeping, 1, __ATOMIC_SEQ_CST);
            pthread_mutex_unlock(&c->mutex);
            idle = 0;
        }
    }
    return NULL;
}

static void wake(Crew *c) {
    if (!__atomic_load_n(&c->sleeping, __ATOMIC_SEQ_CST)) return;
    pthread_mutex_lock(&c->mutex);
    pthread_cond_broadcast(&c->news);
    pthread_mutex_unlock(&c->mutex);
}

void gather_crew(Crew *c, int64_t threads) {
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->news, NULL);
    while (c->count < HELPERS && c->count < threads - 1 &&
           !pthread_create(c->threads + c->count, NULL, help, c))
        c->count++;
}

void dismiss(Crew *c) {
    __atomic_store_n(&c->over_and_out, 1, __ATOMIC_SEQ_CST);
    wake(c);
    for (int64_t i = 0; i < c->count; i++) pthread_join(c->threads[i], NULL);
    pthread_cond_destroy(&c->news);
    pthread_mutex_destroy(&c->mutex);
}

int spread(Crew *c, Task *task, const void *about, int64_t over, int64_t share) {
    int64_t shares = (over + share - 1) / share;
    if (!c->count || shares < 2) return over ? task(about, 0, over) : FINE;
    c->task = task;
    c->about = about;
    c->over = over;
    c->share = share;
    c->wrong = FINE;
    __atomic_store_n(&c->done, 0, __ATOMIC_RELAXED);
    uint64_t job = (c->board >> 32) + 1;
    __atomic_store_n(&c->board, job << 32 | (uint64_t)shares, __ATOMIC_SEQ_CST);
    wake(c);
    while (lend_a_hand(c)) continue;
    for (int64_t looks = 0; __atomic_load_n(&c->done, __ATOMIC_ACQUIRE) < shares;) breathe(looks++);
    return __atomic_load_n(&c->wrong, __ATOMIC_RELAXED);
}
