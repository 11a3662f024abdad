/* Threads that share work, and live as long as the coding of a layer: nothing is left for a fork. */

#ifndef CREW_H
#define CREW_H

#include <pthread.h>
#include <stdint.h>

enum { HELPERS = 15 }; /* at most */

typedef int Task(const void *about, int64_t from, int64_t to);

typedef struct {
    pthread_t threads[HELPERS];
    int64_t count;  /* of helpers */
    uint64_t board; /* number of the job, and in the low half how many of its shares are left */
    int64_t done;   /* shares of the job */
    Task *task;     /* the job: to be done for 0..over, `share` at a time */
    const void *about;
    int64_t over, share;
    int wrong, over_and_out;
    int64_t sleeping;
    pthread_mutex_t mutex;
    pthread_cond_t news;
} Crew;

/* So many threads, the caller's among them, or as many as there can be. */
void gather_crew(Crew *c, int64_t threads);

void dismiss(Crew *c);

/* Do a task for 0..over, in shares of so many at most; what went wrong. */
int spread(Crew *c, Task *task, const void *about, int64_t over, int64_t share);

#endif
