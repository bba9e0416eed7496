/* SPDX-License-Identifier: MIT */
/*
 * A turn alone (engine/pool/alone.h): what was killed for want of memory runs again while no other worker runs anything.
 *
 * MODELLED   W workers with K chunks each, up to DEATHS deaths at any step, each replaced on its rank by a process that knows nothing but the
 *            words; it runs the chunk in flight again, alone or as before: both are tried. Up to EXPIRIES turns that pass. TURN is one word: whose, and
 *            WAITING or ALONE.
 *
 *   worker   b1  busy := 1 (a claim)                     who is to run alone   a1  turn = none: turn := (self, WAITING); else b2 first
 *            b2  no turn of another? run                                       a2  each other: not busy, or rest; else look again
 *            b3  rest := 1, sleep while there is one                           a3  turn = (self, WAITING): turn := (self, ALONE); run
 *            b4  rest := 0, b2                                                 a4  turn := none
 *            run, busy := 0
 *   successor of a dead worker: rest := 0; with a chunk in flight it has the turn that it finds its own, WAITING: a2; ALONE: the chunk is given up, a4;
 *            without one: a4
 *
 * CHECKED    while somebody is alone (its a3 has succeeded, and its turn has not passed) no other is between b2 and the end of its chunk, and none
 *            comes there (assertions); all end (no invalid end state).
 *
 * NOT HERE   the park (park.pml), the clock of `until`, stray words. Busy and rest are read in this order; C11 orders are seq_cst: a pair of steps in the
 *            other order stands for a missing fence: CHECKFIRST, LOOKFIRST.
 *
 * VARIANTS that must be caught, -DNAME
 *   CHECKFIRST  b2 before b1                      LOOKFIRST    a2 before a1
 *   RESTLATE    b4 without the look after it      NOCLEAR      a successor leaves rest as it is
 *   STOREALONE  a3 whatever stands there          NOTAKEOVER   a successor does not look whose the turn is
 *
 * RUN        spin -a alone.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *            or tests/model/check for all of them.
 * MEASURED   DEATHS=2: 4.1e5 states, 1 s; DEATHS=3: 1.0e6 states, 3 s.
 */
#ifndef W
#define W 3
#endif
#ifndef K
#define K 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef EXPIRIES
#define EXPIRIES 1
#endif

#define NONE    0
#define WAITING 1
#define ALONE   2
byte turn_state;       /* TURN: this and the next are one word */
byte turn_owner;
bit busy[W], rest[W];

byte deaths, expiries;
bit running[W], alone[W]; /* the checker's */

#define DIES                                                                                       \
    d_step { deaths < DEATHS -> deaths++; running[i] = 0; alone[i] = 0; v = 0; is_beside = 0 }; goto born
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

#define IS_MINE    (turn_state != NONE && turn_owner == i)
#define IS_ANOTHERS (turn_state != NONE && turn_owner != i)

inline run_beside()
{
    v = 0;
    do
    :: v < W -> assert(v == i || !alone[v]); v++
    :: else -> break
    od;
    v = 0;
    running[i] = 1
}

inline run_alone()
{
    v = 0;
    do
    :: v < W -> assert(v == i || !running[v]); v++
    :: else -> break
    od;
    v = 0;
    alone[i] = 1;
    running[i] = 1
}

proctype worker(byte i)
{
    byte v, n = K;
    bit is_beside; /* its turn has passed: it runs as the others do */

born:
#ifndef NOCLEAR
    STEP(rest[i] = 0);
#endif
    if
    :: busy[i] -> /* the dead one's chunk */
#ifndef NOTAKEOVER
        if
        :: d_step { IS_MINE && turn_state == ALONE -> skip }; goto end_turn
        :: d_step { IS_MINE && turn_state == WAITING -> skip }; goto look
        :: d_step { !IS_MINE -> skip }
        fi;
#endif
        if
        :: goto take
        :: goto way
        fi
    :: !busy[i] -> skip
    fi;
#ifndef NOTAKEOVER
    if
    :: DIES
    :: d_step { IS_MINE -> turn_state = NONE; turn_owner = 0 } /* the chunk has ended, the turn has not */
    :: d_step { !IS_MINE -> skip }
    fi;
#endif
    if
    :: n > 0 -> skip
    :: n == 0 -> goto out
    fi;

next:
#ifdef CHECKFIRST
    if
    :: DIES
    :: d_step { !IS_ANOTHERS -> skip }
    fi;
    STEP(busy[i] = 1; n--);
    goto perform;
#else
    STEP(busy[i] = 1; n--);
#endif

way:
    if
    :: DIES
    :: d_step { !IS_ANOTHERS -> skip }; goto perform
    :: d_step { IS_ANOTHERS -> skip }
    fi;
    STEP(rest[i] = 1);
    if
    :: DIES
    :: d_step { !IS_ANOTHERS -> skip } /* the sleep */
    fi;
    STEP(rest[i] = 0);
#ifdef RESTLATE
    goto perform;
#else
    goto way;
#endif

perform:
    STEP(run_beside());
    STEP(running[i] = 0; alone[i] = 0; busy[i] = 0);
    if
    :: IS_MINE -> goto end_turn
    :: else -> skip
    fi;
    if
    :: n > 0 -> goto next
    :: n == 0 -> goto out
    fi;

take:
    if
    :: DIES
    :: d_step { !IS_ANOTHERS -> skip }
    :: d_step { IS_ANOTHERS -> skip };
        STEP(rest[i] = 1);
        if
        :: DIES
        :: d_step { !IS_ANOTHERS -> skip }
        fi;
        STEP(rest[i] = 0);
        goto take
    fi;
#ifdef LOOKFIRST
    v = 0;
    do
    :: d_step { v < W && (v == i || !busy[v] || rest[v]) -> v++ }
    :: v == W -> break
    od;
    v = 0;
#endif
    if
    :: DIES
    :: d_step { turn_state == NONE || turn_owner == i -> turn_state = WAITING; turn_owner = i }
    :: d_step { IS_ANOTHERS -> skip }; goto take
    fi;

look:
#ifndef LOOKFIRST
    v = 0;
    do
    :: v < W && v == i -> v++
    :: d_step { v < W && v != i && !busy[v] -> v++ }
    :: v < W && v != i && busy[v] ->
        if
        :: d_step { rest[v] -> v++ }
        :: d_step { !rest[v] -> v = 0 }; goto look_again
        fi
    :: v == W -> break
    :: DIES
    od;
    v = 0;
#endif
    if
    :: DIES
#ifdef STOREALONE
    :: d_step { turn_state = ALONE; turn_owner = i; run_alone() }
#else
    :: d_step { IS_MINE && turn_state == WAITING -> turn_state = ALONE; run_alone() }
    :: d_step { !IS_MINE -> is_beside = 1 }
#endif
    fi;
    if
    :: is_beside -> is_beside = 0; goto way /* it runs as it would have: nothing is alone */
    :: !is_beside -> skip
    fi;
    STEP(running[i] = 0; alone[i] = 0; busy[i] = 0);
    goto end_turn;

look_again: /* the others have a step to make; or the turn has passed */
    if
    :: DIES
    :: d_step { !IS_MINE -> skip }; goto way
    :: d_step { (v == i || !busy[v] || rest[v]) -> v++ };
        if
        :: v == W -> v = 0; goto look
        :: v < W -> goto look_again
        fi
    fi;

end_turn:
    if
    :: DIES
    :: d_step { IS_MINE -> turn_state = NONE; turn_owner = 0; running[i] = 0; alone[i] = 0 }; busy[i] = 0
    :: d_step { !IS_MINE -> skip }; busy[i] = 0
    fi;
    if
    :: n > 0 -> goto next
    :: n == 0 -> skip
    fi;
out:
    skip
}

/* Anyone who sees that it has passed. */
proctype clock()
{
    do
    :: d_step {
           expiries < EXPIRIES && turn_state != NONE ->
           expiries++;
           alone[turn_owner] = 0;
           turn_state = NONE;
           turn_owner = 0
       }
    :: break
    od
}

init
{
    byte i;
    atomic {
        do
        :: i < W -> run worker(i); i++
        :: else -> break
        od;
        run clock()
    }
}
