/* history.h: writers whose every change follows from its number, a ledger of what was acknowledged that outlives
 * them, and the question whether what a store holds is a prefix of what they did.
 *
 * Each writer has its own keys. Change n of writer w sets or deletes one key, or several as a batch; which ones, and
 * to what, follows from w and n alone. The ledger is memory shared with the writers' process. */
#ifndef HISTORY_H
#define HISTORY_H

#include "engine.h"

#include <stdatomic.h>

enum { WRITERS_MAX = 3, WRITER_KEYS = 40, CHANGES_MAX = 1 << 16, VALUE_MAX = 80000 };

/* How a store was left by one writer: the number of the change that each key shows, 0 if it is absent. */
struct shown {
    uint64_t number[WRITER_KEYS];
    uint64_t version[WRITER_KEYS];
};

/* What one writer tells. */
struct told {
    /* Counted from the first change of this cycle, `first`. */
    _Atomic uint64_t started, acknowledged, durable;
    uint64_t first, durable_at_cut;
    uint64_t version[CHANGES_MAX];
    _Atomic int ended_with; /* an enum outcome */
    char message[300];
};

struct ledger {
    unsigned writers;
    enum mode mode;
    uint64_t seed;
    struct told told[WRITERS_MAX];
    /* What the store is known to have held before this cycle, and what it shows after. */
    struct shown before[WRITERS_MAX], after[WRITERS_MAX];
    _Atomic bool is_open; /* the writers' store */
    /* The inspection's: it looked at everything, and what it says if it could not. */
    _Atomic bool is_inspected;
    _Atomic int refused; /* an enum outcome */
    char message[300];
};

/* What an inspection and a comparison found. */
struct verdict {
    uint64_t lost;  /* something acknowledged and durable is missing, or what is left is no prefix */
    uint64_t wrong; /* bytes that were never written, or that fail the store's own check */
};

/* Shared memory that begins with an empty store. Unmapped with the process. */
struct ledger *ledger_new(const struct engine *engine, enum mode mode, uint64_t seed);
/* Forgets everything: the store begins anew. */
void ledger_reset(struct ledger *ledger, enum mode mode);

/* In a process of its own: opens, writes until it is killed or something fails, and leaves. */
struct history {
    struct ledger *ledger;
    const struct engine *engine;
    const char *path;
};
void history_write(void *history);
/* In a process of its own: opens, reads every key, checks; closes in order or not. */
void history_inspect(void *history);

/* Notes what is durable at this moment, just before the power is cut: a sync that is under way then may still say that
 * it worked, which it could not if the machine were gone. */
void history_note_durable(struct ledger *ledger);

/* What the inspection saw against what the ledger allows. Says each finding. `durable_too`: what was acknowledged and
 * not durable may not be missing either, as after a kill. Then the next cycle starts from what the store holds. */
struct verdict history_judge(struct ledger *ledger, const struct engine *engine, bool durable_too);

#endif /* HISTORY_H */
