/* SPDX-License-Identifier: MIT */
/*
 * The end of a map whose caller works: workers do not look whether all is finished unless the
 * caller has said that it is about to sleep.
 *
 * MODELLED   a caller whose own part of the job is finished; 2 workers, each with one chunk, in
 *            flight or still to be claimed; up to DEATHS deaths of workers, each replaced on its
 *            slot by a process that knows nothing but the words; a warden that hears of each death,
 *            some time later, and wakes everyone. J is the job's word: open, done, free.
 *
 *   worker   e1  inside := 1                        caller   a1  scan: all finished? a7
 *            e2  J not open? e9                              a2  is_awaited := 1
 *            e3  claim, run, F := none (c3)                  a3  seen = seq (w1)
 *            e4  maybe a steal that fails: S, moves, no S    a4  J done? a7
 *            e5  is_awaited? if not: e9                      a5  scan: all finished? J := done, a7
 *            e6  scan: all finished? if not: e9              a6  park (w4, w5), from a3
 *            e7  CAS J: open -> done; if not: e9             a7  J := free
 *            e8  wake the caller (k2 .. k5)
 *            e9  inside := 0
 *   successor of a dead worker: if inside, e2, goes on from S, F, R; else nothing, or e1
 *
 *            The scan is that of range.pml. Of the scans at a1, which the caller repeats for a
 *            while, one is here, at any time, or none: one that fails changes nothing. The park is
 *            that of park.pml: (seq, flag) is one word.
 *
 * CHECKED    the caller ends: it does not sleep for ever (no invalid end state) and nobody goes
 *            round in circles (no cycle: pan built with -DNP, run with -l);
 *            it does not end before every chunk has run (assertion in caller);
 *            no chunk runs when the job is done or free, and none runs again unless its worker died
 *            with it in flight (assertions in run_chunk).
 *
 * NOT HERE   steals that succeed, and the caller's look at who has left (range.pml, with -DCALLER),
 *            the slot's next map (reuse.pml, with -DCALLER), the deadlines of parks, C11 memory
 *            orders: c3 then e5 against a2 then a5 is Dekker's pattern, and takes a full fence on
 *            both sides. A missing fence is a pair of steps in the other order: NOFENCE_WORKER,
 *            LATEAWAITED.
 *
 * VARIANTS that must be caught, -DNAME
 *   NOFENCE_WORKER  e5 before c3                    LATEAWAITED   a2 after a5
 *   NOWARDENWAKE    the warden does nothing         NOLASTSCAN    no a5: only J counts
 *   LATESEEN        a3 after a5                     NOWAKE        no e8
 *   EARLYCLEAR      e9 before e3                    EARLYFINISH   c3 before the chunk has run
 *
 * RUN        spin -a await.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *            or tests/model/check for all of them.
 * MEASURED   DEATHS=2: 7.8e6 states, 8 s, 0.4 GB; DEATHS=3: 1.8e7 states, 29 s, 0.8 GB.
 */
#define W 2
#define CALLER W
#ifndef DEATHS
#define DEATHS 1
#endif

#define OPEN 1
#define DONE 2
#define FREE 3
byte job = OPEN; /* J */
bit awaited;
bit inside[W];
bit todo[W];     /* R: the chunk is unclaimed */
bit busy[W];     /* F */
bit stealing[W]; /* S */
byte watch[W + 1]; /* moves, as in range.pml: 1 no move since the scan began, 2 moved */

byte seq;        /* the caller's park: seq and flag are one word */
bit flag;
bit asleep;      /* the kernel's */

byte deaths, unheard;
bit may[W], ran[W]; /* the checker's */

#define DIES                                                                                       \
    d_step { deaths < DEATHS -> deaths++; unheard++; bury() }; goto born
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

inline bury()
{
    if
    :: busy[i] && !todo[i] -> may[i] = 1
    :: else -> skip
    fi;
    v = 0; was = 0; watch[i] = 0
}

inline run_chunk()
{
    assert(job == OPEN && may[i]);
    may[i] = 0;
    ran[i] = 1
}

inline count_move()
{
    v = 0;
    do
    :: v <= W && watch[v] == 1 -> watch[v] = 2; v++
    :: v <= W && watch[v] != 1 -> v++
    :: else -> break
    od;
    v = 0
}

/* The reads of a scan by process `me`; goes to `leave` if not all is finished. */
inline scan(me)
{
    do
    :: d_step { v < W && !stealing[v] -> v++ }
    :: v < W && stealing[v] -> goto leave
    :: v == W -> break
    od;
    v = 0;
    do
    :: v < W && todo[v] -> goto leave
    :: v < W && !todo[v] ->
        if
        :: busy[v] -> goto leave
        :: d_step { !busy[v] -> v++ }
        fi
    :: v == W -> break
    od;
    if
    :: watch[me] == 2 -> goto leave
    :: d_step { watch[me] == 1 -> watch[me] = 0; v = 0 }
    fi
}

proctype worker(byte i)
{
    byte v;
    bit was; /* what it read: is_awaited, then whether it has changed J, then the flag */

born:
    if
    :: inside[i] -> skip
    :: !inside[i] && job == OPEN -> STEP(inside[i] = 1)
    :: !inside[i] && !todo[i] -> goto out
    fi;
    if
    :: job != OPEN -> goto leave
    :: job == OPEN -> skip
    fi;
#ifdef EARLYCLEAR
    STEP(inside[i] = 0);
#endif
    if
    :: stealing[i] -> STEP(stealing[i] = 0)
    :: !stealing[i] -> skip
    fi;
    if
    :: todo[i] ->
        STEP(busy[i] = 1);
        STEP(todo[i] = 0)
    :: !todo[i] -> skip
    fi;
#ifdef NOFENCE_WORKER
    STEP(was = awaited);
#endif
    if
    :: busy[i] ->
#ifdef EARLYFINISH
        STEP(busy[i] = 0);
        STEP(run_chunk())
#else
        STEP(run_chunk());
        STEP(busy[i] = 0)
#endif
    :: !busy[i] -> skip
    fi;
    if
    :: STEP(stealing[i] = 1);
       STEP(count_move());
       STEP(stealing[i] = 0)
    :: skip
    fi;
#ifndef NOFENCE_WORKER
    STEP(was = awaited);
#endif
    if
    :: !was -> goto leave
    :: d_step { was -> was = 0 }
    fi;
    STEP(watch[i] = 1);
    scan(i);
    STEP(was = (job == OPEN); job = (was -> DONE : job));
    if
    :: !was -> goto leave
    :: d_step { was -> was = 0 }
    fi;
#ifndef NOWAKE
    STEP(seq++);
    if
    :: DIES
    :: !flag -> goto leave
    :: flag -> skip
    fi;
    STEP(was = flag; flag = 0);
    if
    :: DIES
    :: !was -> skip
    :: d_step { was -> asleep = 0; was = 0 }
    fi;
#endif
leave:
    STEP(inside[i] = 0; v = 0; was = 0; watch[i] = 0);
out:
    skip
}

proctype caller()
{
    byte v, seen;
    bit is_last; /* 0: a1; 1: a5 */

    if
    :: goto look
    :: goto announce
    fi;

announce:
    is_last = 1;
#ifndef LATEAWAITED
    awaited = 1;
#endif
again:
#ifndef LATESEEN
    seen = seq;
#endif
    if
    :: job == DONE -> goto end
    :: job == OPEN -> skip
    fi;
#ifdef NOLASTSCAN
    goto park;
#endif

look:
    watch[CALLER] = 1;
    scan(CALLER);
    if
    :: is_last && job == OPEN -> job = DONE
    :: else -> skip
    fi;
    goto end;
leave: /* the scan, without success */
    watch[CALLER] = 0;
    v = 0;
    if
    :: !is_last -> goto announce
    :: is_last -> goto park
    fi;

park:
#ifdef LATEAWAITED
    awaited = 1;
#endif
#ifdef LATESEEN
    seen = seq;
#endif
    if
    :: seq != seen -> goto again
    :: d_step { seq == seen -> flag = 1 }
    fi;
    asleep = (seq == seen && flag);
    !asleep;
    goto again;

end:
    assert(ran[0] && ran[1]);
    job = FREE
}

proctype warden()
{
end_wait: /* a valid end: nobody dies any more */
    unheard > 0;
#ifndef NOWARDENWAKE
    seq++;
    flag = 0;
    asleep = 0;
#endif
    unheard--;
    goto end_wait
}

init
{
    byte i;

    atomic {
        do
        :: i < W ->
            may[i] = 1;
            if
            :: todo[i] = 1
            :: busy[i] = 1; inside[i] = 1
            fi;
            run worker(i);
            i++
        :: else -> break
        od;
        i = 0;
        run caller();
        run warden()
    }
}
