/* SPDX-License-Identifier: MIT */
/*
 * Tasks: one host hands them out, gives their records to other tasks, cancels one, waits, closes the pool; workers find them through the ring and
 * through hands. The protocol is that of engine/pool/task.h, with a death before every step of a worker.
 *
 * MODELLED   TASKS tasks, one after the other, in RECORDS records; a ring of RING positions; 2 workers, each with a hand of HAND tasks, up to DEATHS
 *            deaths of them, each replaced by a process that knows nothing but the words; a warden that hears of each death, some time later,
 *            and wakes everyone. The host does in any order: submit, when a record is free and the ring is not full, else wait for room; cancel
 *            up to DROPS tasks; wait for one and put its record. It closes the pool when all are submitted, whatever is still queued.
 *
 *   submit   q1 .. q3, announce                   worker  l1  seen = seq of `work`    l0  is the pool closing?
 *   room     is_full := 1, head?, park                    p1  1 or 2 of the ring to the hand, none: steal    p2  CAS head    is_full? wake
 *   wait     over? else WANTED, over? else park           t1  running    t2  CAS    c1  calling, call    c2  return, next    t3  exchange    t4  wake
 *   put      next, calling := 0; word := FREE             steal: t1 .. of each in the other's hand
 *   drop     CAS: QUEUED -> DROPPED                       l2  none found: closing at l0? leaves; else parks from l1
 *
 *   -DCALLER: the host, before it parks, runs what it waits for, or one of the ring (it has no hand), or one of a hand.
 *   successor: `running` is TAKEN by its rank: blames it, if `calling` is the number of the dead and `next` is still 0, or runs it (again); then
 *            plays the hand; then l1.
 *            The park is that of park.pml, as one bit for each waiter: seq has moved on since it was read. Nobody dies in a sleep, or a death
 *            would hide a lost wake; to die there is to die before the next step. The workers are alike: worker 0 is the first to die.
 *
 * CHECKED    a task's function begins once, and again only when the process that had the task has died with it, never when the task is dropped or
 *            over, so never twice at once (assertion in call);
 *            a task ends once, by who has it (assertion in end_task), with its function run, or with a blame that it deserved (assertions at born and
 *            put); a dropped one has not begun (assertion at put);
 *            a worker leaves only when nothing is queued anywhere, but for what a caller has in its fingers (assertion at rest);
 *            nobody sleeps or waits for ever (no invalid end state): the host has all tasks over, and the workers leave.
 *
 * NOT HERE   batches (`next` > 1), retries, limits and kills; UNWANTED; several threads of the host; jobs beside the tasks; memory orders: all is
 *            sequentially consistent; the kernel's sleep (park.pml); the deadline of the wait for room (10 ms), so that a lost wake is seen.
 *            What only reads, or writes the own hand, is one step: l1, l0, p1 (not LATESEEN, LATECLOSING, CLOSINGFIRST: these are steps of their own);
 *            p2 with the look at is_full. Of p1's reads the stale ones are those before a p2 that fails.
 *            t3 also empties `running`, which does not name a task of the rank then until t1, so that what it names is no state of its own; and when
 *            nothing is submitted any more, hands and ring forget a record that is put.
 *
 * VARIANTS that must be caught, -DNAME
 *   LATEHAND       the hand is written after p2             LATERUNNING    t1 after t2
 *   EARLYPICK      p1 before all in the hand was seen       NOCAS          t2 is a load and a store
 *   BLINDHAND      a successor does not play the hand       BLINDRUNNING   a successor does not look at `running`
 *   NOWARDENWAKE   the warden does nothing                  LOADWANTED     t3 is a load of WANTED and a store
 *   LOSTFLAG       t2 takes WANTED off                      LATEWANTED     over? is not asked again after WANTED
 *   OVERRUN        submits into a full ring                 LATEROOM       is_full is looked at before p2
 *   NONEXT         put leaves `next`                        NOCALLING      put leaves `calling`
 *   EARLYNEXT      `next`, then the call                LATECLOSING    l0 after nothing was found: a task may have come since
 *   EARLYTAIL      q3 before q2                             ANNOUNCEFIRST  announces before q3
 *   NOSTEAL        hands of others are left alone           LATESEEN       l1 after nothing was found
 *   CLOSINGFIRST   l0 before l1
 *
 * RUN        spin -a task.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *            or tests/model/check for all of them.
 * MEASURED   TASKS=3 HAND=1 DEATHS=0: 9.5e6 states, 0.5 GB; TASKS=2 DEATHS=1 DROPS=0: 8.7e6, 0.5 GB; TASKS=2 DEATHS=1 HAND=1: 7.3e6; RING=1: 1.1e7.
 */
#define W 2
#ifndef HAND
#define HAND 2
#endif
#define CALLER_RANK W
#ifndef TASKS
#define TASKS 3
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef RING
#define RING 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef DROPS
#define DROPS 1
#endif
#define NONE RECORDS

#ifdef OVERRUN
#define OVER 1
#else
#define OVER 0
#endif

#define FREE 0
#define QUEUED 1
#define TAKEN 2
#define ENDED 3
#define DROPPED 4

byte state[RECORDS + 1], rank[RECORDS + 1]; /* the word; state[NONE] is FREE */
bit wanted[RECORDS];
byte task[RECORDS];                     /* fn, arg: what the record stands for */
bit next[RECORDS];
byte calling[RECORDS];
byte ring[RING];
byte head, tail;
bit is_full;
byte hand[W * HAND];
byte running[W];
bit closing;
bit moved[W];                           /* seq of `work`, since worker i read it */
bit done_moved;                         /* seq of `done`, since the host read it */
byte starts[W];

byte deaths, unheard;
bit may[TASKS], begun[TASKS], ran[TASKS], blamed[TASKS], is_over[TASKS]; /* the checker's */
byte carried = NONE;                    /* the same: a record that the host has taken off the ring */

#define DIES                                                                                       \
    d_step { deaths < DEATHS && (deaths > 0 || i == 0) -> deaths++; unheard++; bury() }; goto born
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

#ifdef LOSTFLAG
#define KEEP_FLAG wanted[r] = 0;
#else
#define KEEP_FLAG
#endif

/* Its variables are gone; whoever had a task in it may run that again. */
inline bury()
{
    if
    :: mine > 0 -> may[mine - 1] = 1
    :: else -> skip
    fi;
    mine = 0; h = 0; n = 0; j = 0; r = NONE; at = 0; any = 0; was = 0; closes = 0;
    moved[i] = 1
}

inline call(record)
{
    assert(may[task[record]] && !is_over[task[record]]);
    may[task[record]] = 0
}

inline pass(record)
{
    next[record] = 1;
    ran[task[record]] = 1
}

inline end_task(record, by)
{
    assert(state[record] == TAKEN && rank[record] == by && !is_over[task[record]]);
    is_over[task[record]] = 1;
    state[record] = ENDED;
    rank[record] = 0;
    wanted[record] = 0;
#ifndef NOCALLING
    calling[record] = 0 /* nobody reads it now; put does it */
#endif
}

inline take(record, by)
{
    state[record] = TAKEN;
    rank[record] = by;
    KEEP_FLAG
}

inline announce()
{
    moved[0] = 1; moved[1] = 1
}

/* Its own `seen`, and whether the pool is closing. */
inline see()
{
#ifndef LATESEEN
    moved[i] = 0;
#endif
#if !defined(LATECLOSING) && !defined(CLOSINGFIRST)
    closes = closing
#endif
}

/* `running` is not read while its rank has no task, so what it names then is no state of its own. */
#ifdef LATERUNNING
#define FORGET
#else
#define FORGET running[i] = NONE;
#endif

#ifdef LATEHAND
#define N_OVER
#else
#define N_OVER n = 0;
#endif

#ifdef NOSTEAL
#define STEAL_BEGIN j = HAND;
#else
#define STEAL_BEGIN
#endif

#define RESUME 0
#define PLAY 1
#define STEAL 2

proctype worker(byte i)
{
    byte h, n, j, at;
    byte r = NONE;
    byte mine; /* the checker's: number of the task that this process has, plus 1 */
    bit any;   /* it has run one */
    bit was;   /* what it read: WANTED, QUEUED, is_full */
    bit closes;
#ifdef LATEHAND
    byte read[HAND];
#endif

born:
    atomic {
        starts[i]++;
#ifndef BLINDHAND
        at = PLAY;
#else
        j = HAND;
#endif
        r = running[i];
        if
#ifndef BLINDRUNNING
        :: state[r] == TAKEN && rank[r] == i -> mine = task[r] + 1
#endif
        :: else -> r = NONE; goto scan
        fi
    }
    if
    :: DIES
    :: d_step { !next[r] && calling[r] == starts[i] - 1 -> next[r] = 1; blamed[task[r]] = 1; assert(begun[task[r]]) }
    :: true -> skip
    fi;

going:
    if
    :: DIES
    :: next[r] -> goto end
#ifdef EARLYNEXT
    :: d_step { !next[r] -> calling[r] = starts[i]; next[r] = 1 }
    fi;
    STEP(begun[task[r]] = 1; call(r));
#else
    :: d_step { !next[r] -> calling[r] = starts[i]; begun[task[r]] = 1; call(r) }
    fi;
#endif
    STEP(pass(r));
end:
#ifdef LOADWANTED
    STEP(was = wanted[r]);
#endif
    if
    :: DIES
    :: atomic {
#ifndef LOADWANTED
           was = wanted[r];
#endif
           end_task(r, i); FORGET mine = 0; any = 1; r = NONE;
#ifdef EARLYPICK
           j = HAND;
#endif
           n = 0;
           if
           :: at == STEAL -> j = HAND
           :: else -> skip
           fi;
           if
           :: was -> skip
           :: !was -> goto scan
           fi
       }
    fi;
    STEP(done_moved = 1; was = 0);

scan: /* a hand; then what comes after it */
    if
    :: atomic {
           j < HAND && at == PLAY ->
           do
           :: j < HAND -> r = hand[i * HAND + j]; j++;
               if
               :: state[r] == QUEUED -> break
               :: else -> r = NONE
               fi
           :: else -> goto scan
           od
       }
    :: atomic {
           j < HAND && at == STEAL -> r = hand[(1 - i) * HAND + j]; j++;
           if
           :: state[r] == QUEUED -> skip
           :: else -> r = NONE; goto scan
           fi
       }
    :: j == HAND && (at != STEAL || any) -> goto look
    :: atomic { j == HAND && at == STEAL && !any -> goto rest }
    fi;
#ifndef LATERUNNING
    STEP(running[i] = r);
#endif
#ifdef NOCAS
    STEP(was = (state[r] == QUEUED));
    if
    :: atomic { !was -> r = NONE; goto scan }
    :: was -> STEP(was = 0; take(r, i); mine = task[r] + 1; moved[i] = 1)
    fi;
#else
    if
    :: DIES
    :: d_step { state[r] == QUEUED -> take(r, i); mine = task[r] + 1; moved[i] = 1 }
    :: atomic { state[r] != QUEUED -> r = NONE; goto scan }
    fi;
#endif
#ifdef LATERUNNING
    STEP(running[i] = r);
#endif
    goto going;

look: /* l0, l1, p1; all of them read, or write the own hand */
#ifdef CLOSINGFIRST
    closes = closing;
#endif
    if
    :: DIES
    :: atomic {
           at = 0; any = 0; r = NONE; j = 0;
           see();
           h = head;
           if
           :: tail - h == 0 || tail - h > RING -> h = 0; n = 0; at = STEAL; STEAL_BEGIN goto scan
           :: tail - h > 0 && tail - h <= RING -> n = 1
           :: tail - h > 1 && tail - h <= RING && HAND > 1 -> n = 2
           fi;
#ifdef LATEHAND
           read[0] = ring[h % RING]; read[HAND - 1] = ring[(h + HAND - 1) % RING]
#else
           hand[i * HAND] = ring[h % RING];
           hand[i * HAND + HAND - 1] = (n == HAND -> ring[(h + HAND - 1) % RING] : NONE)
#endif
       }
    fi;
#ifdef LATEROOM
    was = is_full;
#endif
    if /* p2 */
    :: DIES
    :: atomic {
           head == h -> head = h + n; at = PLAY; h = 0; N_OVER
#ifndef LATEROOM
           was = is_full;
#endif
#ifndef LATEHAND
           if
           :: was -> skip
           :: !was -> goto scan
           fi
#endif
       }
    :: atomic { head != h -> h = 0; n = 0; was = 0; goto look }
    fi;
#ifdef LATEHAND
    STEP(hand[i * HAND] = read[0]; hand[i * HAND + HAND - 1] = (n == HAND -> read[HAND - 1] : NONE); read[0] = 0; read[HAND - 1] = 0);
    if
    :: atomic { !was -> goto scan }
    :: was -> skip
    fi;
#endif
    STEP(is_full = 0; was = 0);
    STEP(done_moved = 1);
    goto scan;

rest:
#ifdef LATESEEN
    moved[i] = 0;
#endif
#ifdef LATECLOSING
    closes = closing;
#endif
    if
    :: atomic { !closes && moved[i] -> goto look }
    :: DIES
    :: d_step {
           closes -> r = 0;
           do
           :: r < RECORDS -> assert(state[r] != QUEUED || r == carried); r++
           :: else -> break
           od;
           r = NONE; j = 0; at = 0; n = 0; closes = 0; moved[i] = 1
       }
    fi
}

/* Some record of which `condition` holds, or again. */
#define SOME(condition)                                                                            \
    if                                                                                             \
    :: r = 0                                                                                       \
    :: t > 0 -> r = RECORDS - 1                                                                    \
    :: t > 0 && RECORDS > 2 -> r = 1                                                               \
    fi;                                                                                            \
    if                                                                                             \
    :: condition -> skip                                                                           \
    :: else -> r = 0; goto again                                                                   \
    fi

proctype host()
{
    byte t, r, x = NONE, j, h, drops;
    bit used[RECORDS + 1];

again:
    if
    :: atomic { t < TASKS && tail - head >= RING && !OVER -> done_moved = 0; goto no_room }
    :: atomic {
           t < TASKS && (OVER || tail - head < RING) ->
           SOME(!used[r]);
           used[r] = 1; task[r] = t; may[t] = 1; state[r] = QUEUED; wanted[r] = 0;
#ifndef EARLYTAIL
           ring[tail % RING] = r;
#endif
           x = r; r = 0; t++
       }
#ifdef EARLYTAIL
       tail++;
       ring[(tail - 1) % RING] = x;
#endif
#ifdef ANNOUNCEFIRST
       d_step { announce() };
#endif
#ifndef EARLYTAIL
       tail++;
#endif
#ifndef ANNOUNCEFIRST
       d_step { announce() };
#endif
       x = NONE;
       if
       :: t == TASKS -> closing = 1; d_step { announce() }
       :: t < TASKS -> skip
       fi
    :: atomic {
           drops < DROPS && t > 0 ->
           SOME(used[r] && state[r] == QUEUED);
           state[r] = DROPPED; wanted[r] = 0;
           drops++;
           assert(!begun[task[r]] && !is_over[task[r]]);
           is_over[task[r]] = 1; r = 0
       }
    :: atomic { t > 0 -> SOME(used[r]); done_moved = 0; goto wait }
    :: atomic { t == TASKS && !used[0] && !used[1] && !used[RECORDS - 1] -> goto out }
    fi;
    goto again;

no_room:
    is_full = 1;
    if
    :: tail - head >= RING -> done_moved
    :: tail - head < RING -> done_moved = 1
    fi;
    goto again;

wait:
#ifdef LATEWANTED
    if
    :: state[r] >= ENDED -> goto put
    :: state[r] < ENDED -> wanted[r] = 1
    fi;
#else
    if
    :: atomic { state[r] >= ENDED -> goto put }
    :: d_step { state[r] < ENDED -> wanted[r] = 1 }
    fi;
#endif
#ifdef CALLER
    if
    :: x = r; goto perform
    :: goto help
    :: skip
    fi;
#endif
    atomic { done_moved -> done_moved = 0; goto wait };

#ifdef CALLER
help:
    h = head;
    if
    :: atomic { tail - h == 0 || tail - h > RING -> h = 0; goto steal }
    :: tail - h > 0 && tail - h <= RING -> x = ring[h % RING]
    fi;
    if
    :: d_step { head == h -> head = h + 1; carried = x; h = 0 }
    :: atomic { head != h -> h = 0; x = NONE; goto help }
    fi;
    goto perform;
steal:
    if
    :: atomic { j < W * HAND && state[hand[j]] == QUEUED -> x = hand[j]; goto perform }
    :: atomic { j < W * HAND && state[hand[j]] != QUEUED -> j++; goto steal }
    :: atomic { j == W * HAND -> j = 0; goto wait }
    fi;
perform:
    atomic {
        carried = NONE; j = 0;
        if
        :: state[x] == QUEUED -> state[x] = TAKEN; rank[x] = CALLER_RANK; begun[task[x]] = 1
        :: else -> x = NONE; goto wait
        fi
    }
    d_step { call(x) }
    d_step { pass(x) }
    atomic { end_task(x, CALLER_RANK); x = NONE; done_moved = 0; goto wait }
#endif

put:
    atomic {
        if
        :: state[r] == DROPPED -> assert(!begun[task[r]])
        :: else -> assert(state[r] == ENDED && (ran[task[r]] || blamed[task[r]]))
        fi;
        assert(is_over[task[r]]);
        may[task[r]] = 0; begun[task[r]] = 0; ran[task[r]] = 0; blamed[task[r]] = 0; task[r] = 0;
#ifndef NONEXT
        next[r] = 0;
#endif
        wanted[r] = 0; state[r] = FREE; used[r] = 0; done_moved = 1;
        if
        :: t == TASKS -> /* it is never queued again, so what still names it is as good as nothing */
            do
            :: j < W * HAND -> hand[j] = (hand[j] == r -> NONE : hand[j]); j++
            :: else -> break
            od;
            j = 0;
            do
            :: j < RING -> ring[j] = (ring[j] == r -> NONE : ring[j]); j++
            :: else -> break
            od;
            j = 0
        :: else -> skip
        fi;
        r = 0;
        goto again
    }
out:
    skip
}

proctype warden()
{
end_wait: /* a valid end: nobody dies any more */
#ifdef NOWARDENWAKE
    atomic { unheard > 0 -> unheard-- };
#else
    atomic { unheard > 0 -> unheard--; announce(); done_moved = 1 };
#endif
    goto end_wait
}

init
{
    byte k;

    atomic {
        running[0] = NONE; running[1] = NONE;
        do
        :: k < W * HAND -> hand[k] = NONE; k++
        :: else -> break
        od;
        k = 0;
        moved[0] = 1; moved[1] = 1; done_moved = 1;
        run worker(0);
        run worker(1);
        run host();
        run warden()
    }
}
