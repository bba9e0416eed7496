/* SPDX-License-Identifier: MIT */
/*
 * Work ranges owned by slots, stolen in halves, by workers that may die at every step.
 *
 * MODELLED   one job of G grains, W slots with one worker each, any number of deaths. A slot has
 *            R = lo, hi, thief, par    unclaimed grains, name of a thief in transit, install parity
 *            F = flo, fhi              the chunk in flight: written before the claim, cleared after
 *                                      the work; none when equal: the grains that the slot has
 *                                      finished (with COUNTS; else 0)
 *            B = before                what F was as none, while it is a chunk (with COUNTS)
 *            S = svic, smid, send, spar   the steal in progress: written before it is committed
 *            Each is one 64-bit word of the engine; a step is one access to one of them. A dead
 *            worker is replaced on its slot; the replacement goes on from S, then F, then R.
 *
 *   claim    F := [lo, lo+C)   CAS R: lo -> lo+C (keeps thief)   work   F := none
 *            claimed if and only if R.lo has moved past F.lo
 *   steal    S := (v, m, h, other parity)   moves++   CAS R[v]: (lo, h, no thief) -> (lo, m, me)
 *            F := [m, m+C)   R := [m+C, h), parity flipped, thief kept   R[v].thief := none
 *            S := none   work
 *            committed if and only if R[v] names me; installed if and only if my parity is S's
 *   done?    note moves   every S none   slot by slot: R empty, nothing in transit, then F none
 *            moves as noted
 *
 *            A replacement starts like any worker and knows nothing but the words, so that any
 *            number of deaths (no -DDEATHS) has fewer states than a counted one. A chunk is 1 or C
 *            grains long. A thief picks any victim, or none: that covers every order of search.
 *            `watch` is the comparison of `moves` with its value at the start of a scan, as one
 *            flag per scanner: the same information in far fewer states.
 *
 *            -DCALLER: beside the workers there is a caller that has no work left and awaits the
 *            end, as in await.pml; until it has said so, workers leave without a scan. It may also
 *            look, slot by slot, who has left, and take all of them for the end. So a slot that has
 *            left a job never comes back to it, not even with a new process: one that came back
 *            could steal from a slot that the caller has not looked at yet.
 *
 * CHECKED    no grain runs again unless its worker died with it in flight (assertion on may);
 *            the job is declared done only when every grain has run (assertion on ran);
 *            then the counts that the scan has read add up to all grains, with COUNTS (on n);
 *            it is always declared done, although workers leave as soon as others are busy
 *            (assertion on done, no invalid end state);
 *            with at most n deaths, -DDEATHS=n, all of it ends (no cycle: pan built with -DNP, run
 *            with -l).
 *
 * NOT HERE   reuse of the words by a later map (reuse.pml), sleeping and waking (park.pml), undo
 *            copies, failing items, several jobs, C11 memory orders (steps are sequentially
 *            consistent).
 *
 * VARIANTS that must be caught, -DNAME
 *   LATEINTENT    F written after the claim             LATERECORD    S written after commit
 *   NOCLAIMTEST   recovery reruns F, claimed or not     NOTRANSIT     R[v] does not name thief
 *   INSTALLFIRST  R installed before F is written       EARLYRELEASE  R[v].thief cleared before
 *   BLINDINSTALL  R installed without keeping thief     NOPARITY      installed: R is not empty
 *   NOSCANS       completion ignores S                  NOMOVES       completion ignores moves
 *   FFIRST        completion reads F before R           LATEMOVES     moves counted after the steal
 *   NORESCAN      a replacement does not look for completion
 *   BUSYPICK      thieves pick victims in transit too (a cycle)
 *   REENTER       the successor of one that had left comes back (with CALLER)
 *   ALWAYSKEEP    B := F also where F is a chunk, of a steal that is done again (with COUNTS)
 *
 * -DSKEW gives all grains to slot 0; -DSTAY lets a worker look again where it would leave.
 *
 * RUN        spin -DW=3 -DG=4 -a range.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m100000
 *            or tests/model/check for all of them.
 * MEASURED   gcc 12 -O2, one core of a virtual machine
 *            W=2 G=6            2.4e4 states   0.1 s   0.2 GB
 *            W=3 G=4            4.9e6            6 s   0.4 GB
 *            W=3 G=5            8.9e6           11 s   0.5 GB
 *            W=3 G=4 C=2 SKEW   9.2e6           12 s   0.6 GB
 *            W=3 G=3 COUNTS     2.8e6            7 s   0.3 GB
 *            W=2 G=8 C=3 SKEW CALLER: 3.7e6 states, 5 s, 0.3 GB
 *            W=4 G=2            more than 4.4e7 states and 2.4 GB: not finished, no error so far
 *            NOMOVES and LATEMOVES need 3 workers and 3 grains, BLINDINSTALL the same and a death,
 *            NOPARITY a stolen range of 2 grains and a death.
 */
#ifndef W
#define W 2
#endif
#ifndef G
#define G 4
#endif
#ifndef C
#define C 1
#endif
#ifdef DEATHS
byte deaths;
#define MAY_DIE (deaths < DEATHS)
#define COUNT_DEATH deaths++
#else /* any number */
#define MAY_DIE true
#define COUNT_DEATH skip
#endif

#ifdef CALLER
#define SCANNERS (W + 1)
#else
#define SCANNERS W
#endif

byte lo[W], hi[W], thief[W];    /* R; thief: 0 none, else slot + 1 */
bit par[W];
byte flo[W], fhi[W];            /* F; equal: nothing in flight */
#ifdef COUNTS
byte before[W];                 /* B */
#endif
byte svic[W], smid[W], send[W]; /* S; svic: 0 none, else victim + 1 */
bit spar[W];
byte watch[SCANNERS];           /* 0 not scanning, 1 no move since the scan began, 2 moved */

#ifdef CALLER
bit awaited;
bit left[W];                    /* the worker has left the job: its R is empty, F and S are none */
#endif
bit may[G], ran[G];             /* the checker's: may run (again); has run */
bit done;

#ifdef NORESCAN
#define BORN(x) born = x
#else
#define BORN(x) skip
#endif
#define EMPTY(x) (lo[x] >= hi[x])
#define IDLE(x) (flo[x] >= fhi[x])
#define NAMED (svic[i] != 0 && thief[svic[i] - 1] == i + 1)
#ifdef NOPARITY
#define INSTALLED (!EMPTY(i))
#else
#define INSTALLED (par[i] == spar[i])
#endif
#ifdef NOCLAIMTEST
#define CLAIMED true
#else
#define CLAIMED (lo[i] > flo[i])
#endif

#if C > 1
#define CHOOSE_LENGTH if :: c = 1 :: c = C fi
#define FORGET_LENGTH c = 0
#define END(from, to) (from + c < to -> from + c : to)
#else
#define CHOOSE_LENGTH skip
#define FORGET_LENGTH skip
#define END(from, to) (from + 1)
#endif

#if defined(LATEINTENT) || defined(LATERECORD)
#define FORGET skip
#else
#define FORGET l = 0; h = 0; v = 0
#endif

/* What a scan has read of the counts: n, a variable of whoever scans. */
#ifdef COUNTS
#define NEXT_COUNTED n = n + flo[v]; v++
#define FORGET_COUNT n = 0;
#define CHECK_COUNT assert(n == G); FORGET_COUNT
#else
#define NEXT_COUNTED v++
#define FORGET_COUNT
#define CHECK_COUNT
#endif

inline die()
{
    COUNT_DEATH;
    k = flo[i];
    do
    :: k < fhi[i] && svic[i] == 0 && lo[i] > flo[i] -> may[k] = 1; k++
    :: else -> break
    od;
    l = 0; h = 0; v = 0; k = 0; watch[i] = 0; FORGET_LENGTH; FORGET_COUNT BORN(1)
}

/* One access to shared words, or death before it. */
#define STEP(access)                                                                               \
    if                                                                                             \
    :: d_step { MAY_DIE -> die() }; goto resume                                            \
    :: d_step { access }                                                                           \
    fi

inline run_chunk()
{
    k = flo[i];
    do
    :: k < fhi[i] -> assert(may[k]); may[k] = 0; ran[k] = 1; k++
    :: else -> break
    od;
    k = 0; l = 0; h = 0; FORGET_LENGTH; BORN(0)
}

inline count_move()
{
    k = 0;
    do
    :: k < SCANNERS && watch[k] == 1 -> watch[k] = 2; k++
    :: k < SCANNERS && watch[k] != 1 -> k++
    :: else -> break
    od;
    k = 0
}

inline declare_done()
{
    k = 0;
    do
    :: k < G -> assert(ran[k]); k++
    :: else -> break
    od;
    k = 0;
    CHECK_COUNT
    done = 1
}

inline write_intent() { flo[i] = l; fhi[i] = END(l, h) }
#ifndef COUNTS
inline clear_intent() { flo[i] = 0; fhi[i] = 0 }
inline finish() { clear_intent() }
#else
/* A chunk that is there already is a dead worker's. */
#ifdef ALWAYSKEEP
#define KEEP_COUNT STEP(before[i] = flo[i])
#else
#define KEEP_COUNT                                                                                 \
    if                                                                                             \
    :: IDLE(i) -> STEP(before[i] = flo[i])                                                         \
    :: else -> skip                                                                                \
    fi
#endif
inline clear_intent() { flo[i] = before[i]; fhi[i] = before[i] }
inline finish() { flo[i] = before[i] + fhi[i] - flo[i]; fhi[i] = flo[i] }
#endif
inline record_steal()
{
    svic[i] = v + 1; smid[i] = l + (h - l) / 2; send[i] = h; spar[i] = 1 - par[i]
}
inline clear_steal() { svic[i] = 0; smid[i] = 0; send[i] = 0; spar[i] = 0 }
inline take_first() { flo[i] = smid[i]; fhi[i] = END(smid[i], send[i]); l = 0; h = 0; v = 0 }
inline install_rest()
{
    lo[i] = END(smid[i], send[i]); hi[i] = send[i]; par[i] = spar[i];
#ifdef BLINDINSTALL
    thief[i] = 0
#endif
}

#ifdef BUSYPICK
#define FREE(x) true
#else
#define FREE(x) (thief[x] == 0)
#endif
#define PICK(x) d_step { x != i && !EMPTY(x) && FREE(x) -> v = x; l = lo[x]; h = hi[x] }; goto steal

/* What a scan by `me` reads; goes to leave if not all is finished, or one cannot tell. */
inline read_all(me)
{
#ifndef NOSCANS
    do
    :: d_step { v < W && svic[v] == 0 -> v++ }
    :: v < W && svic[v] != 0 -> goto leave
    :: v == W -> break
    od;
    v = 0;
#endif
    do
#ifdef FFIRST
    :: v < W && !IDLE(v) -> goto leave
    :: v < W && IDLE(v) ->
        if
        :: !EMPTY(v) || thief[v] != 0 -> goto leave
        :: d_step { EMPTY(v) && thief[v] == 0 -> NEXT_COUNTED }
        fi
#else
    :: v < W && (!EMPTY(v) || thief[v] != 0) -> goto leave
    :: v < W && EMPTY(v) && thief[v] == 0 ->
        if
        :: !IDLE(v) -> goto leave
        :: d_step { IDLE(v) -> NEXT_COUNTED }
        fi
#endif
    :: v == W -> break
    od;
#ifndef NOMOVES
    if
    :: d_step { watch[me] == 2 -> watch[me] = 0; v = 0 }; goto leave
    :: d_step { watch[me] == 1 -> watch[me] = 0; v = 0 }
    fi;
#endif
}

proctype worker(byte i)
{
    byte l, h, v, k; /* k is 0 between steps */
#ifdef COUNTS
    byte n;
#endif
#if C > 1
    byte c;
#endif
#ifdef NORESCAN
    bit born; /* 1 in a replacement until it has work */
#endif

resume: /* one step: nobody else changes the own S, F, R.lo, or sets or clears the own name */
    if
    :: svic[i] == 0 && IDLE(i) -> goto again
    :: svic[i] == 0 && !IDLE(i) && CLAIMED -> goto work
    :: svic[i] == 0 && !IDLE(i) && !CLAIMED -> STEP(clear_intent()); goto again
    :: svic[i] != 0 && !NAMED -> STEP(clear_steal()); goto resume
    :: NAMED && !INSTALLED -> goto take
    :: NAMED && INSTALLED -> goto release
    fi;

again:
    if
    :: d_step { !EMPTY(i) -> l = lo[i]; h = hi[i] }; goto claim
    :: EMPTY(i) -> goto idle
    fi;

claim:
    CHOOSE_LENGTH;
#ifdef COUNTS
    KEEP_COUNT;
#endif
#ifndef LATEINTENT
    STEP(write_intent());
#endif
    if
    :: d_step { MAY_DIE -> die() }; goto resume
    :: d_step { lo[i] == l && hi[i] == h -> lo[i] = END(l, h); FORGET }
    :: d_step { lo[i] != l || hi[i] != h -> l = 0; h = 0; FORGET_LENGTH };
       STEP(clear_intent());
       goto again
    fi;
#ifdef LATEINTENT
    STEP(write_intent());
#endif

work:
    STEP(run_chunk());
    STEP(finish());
    goto again;

idle:
#ifdef NORESCAN
    if
    :: born -> goto leave
    :: else -> skip
    fi;
#endif
    if
    :: PICK(0)
    :: PICK(1)
#if W > 2
    :: PICK(2)
#endif
#if W > 3
    :: PICK(3)
#endif
    :: goto scan
    fi;

steal:
#ifndef LATERECORD
    STEP(record_steal());
#endif
#ifndef LATEMOVES
    STEP(count_move());
#endif
    if
    :: d_step { MAY_DIE -> die() }; goto resume
    :: d_step { lo[v] == l && hi[v] == h && thief[v] == 0 ->
           hi[v] = l + (h - l) / 2;
#ifndef NOTRANSIT
           thief[v] = i + 1;
#endif
           FORGET
       }
    :: d_step { lo[v] != l || hi[v] != h || thief[v] != 0 -> l = 0; h = 0; v = 0 };
       STEP(clear_steal());
       goto again
    fi;
#ifdef LATERECORD
    STEP(record_steal());
#endif

take:
    CHOOSE_LENGTH;
#ifdef COUNTS
    KEEP_COUNT;
#endif
#ifdef EARLYRELEASE
    STEP(thief[svic[i] - 1] = 0);
#endif
#ifdef INSTALLFIRST
    STEP(install_rest());
    STEP(take_first());
#else
    STEP(take_first());
    STEP(install_rest());
#endif
release:
    STEP(thief[svic[i] - 1] = 0);
    STEP(clear_steal());
#ifdef LATEMOVES
    STEP(count_move());
#endif
    goto work;

scan:
#ifdef CALLER
    if
    :: !awaited -> goto leave
    :: awaited -> skip
    fi;
#endif
    STEP(watch[i] = 1);
    read_all(i);
    STEP(declare_done());
leave:
    STEP(v = 0; FORGET_COUNT watch[i] = 0);
#ifdef CALLER
    STEP(left[i] = 1);
#ifdef REENTER
    if
    :: d_step { MAY_DIE -> die() }; goto resume
    :: skip
    fi;
#endif
#endif
#ifdef STAY
    if
    :: !done -> goto again
    :: skip
    fi;
#endif
    BORN(0)
}

#ifdef CALLER
proctype caller()
{
    byte v, k;
#ifdef COUNTS
    byte n;
#endif

    if /* before it sleeps; one look stands for many, as one that fails changes nothing */
    :: goto look
    :: do
       :: v < W && left[v] -> v++
       :: v < W && !left[v] -> v = 0; goto announce
       :: v == W -> break
       od;
       v = 0;
       d_step { declare_done() };
       goto out
    :: skip
    fi;
announce:
    awaited = 1;
look:
    watch[W] = 1;
    read_all(W);
    v = 0;
    d_step { declare_done() };
    goto out;
leave:
    v = 0;
#ifdef COUNTS
    n = 0;
#endif
    watch[W] = 0;
    if
    :: !awaited -> goto announce
    :: awaited -> done /* asleep until a worker says so */
    fi;
out:
    skip
}
#endif

init
{
    byte i;

    atomic {
#ifdef SKEW
        hi[0] = G;
#else
        do
        :: i < W -> lo[i] = i * G / W; hi[i] = (i + 1) * G / W; i++
        :: else -> break
        od;
#endif
        i = 0;
        do
        :: i < G -> may[i] = 1; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < W -> run worker(i); i++
        :: else -> break
        od;
#ifdef CALLER
        run caller();
#endif
        i = 0
    };
    _nr_pr == 1 -> assert(done) /* every worker has left, and its last replacement too */
}
