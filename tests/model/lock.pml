/* SPDX-License-Identifier: MIT */
/*
 * The lock between processes: any of them may die at every step, holding it or not.
 *
 * MODELLED   N processes that acquire and release it TURNS times each; up to DEATHS deaths, each replaced by a process that begins anew,
 *            with a new id. The word is { W, holder: index and generation, version }; the kernel compares index and version only.
 *
 *   acquire  a1  read the word                         release  r1  CAS: nobody, W and version stay
 *            a2  free? CAS: own id, version + 1,                r2  W was there? wake one that sleeps
 *                W stays: got it                                r3  nobody slept? CAS: W off, from exactly
 *            a3  its holder is dead? the same, and                  the word of r1
 *                this is told
 *            a4  no W? CAS: W on, else from a1         death    the kernel wakes one of those that watch over the dead;
 *            a5  sleep if index and version are as              that one wakes the others
 *                at a1, until a wake or the holder's
 *                death; then from a1
 *
 *            The look (FMI_MORTAL_LOOK_NS): a sleeper wakes by itself, but only when nothing else can move. GIVEUP: the time of process 0 may be over at
 *            any moment of its sleep, also as it is woken; it looks once more, takes the lock if it is free, or leaves. The others have no limit.
 *
 * CHECKED    one living holder at most; of a holder's death the next to acquire is told, and only that one (assertions);
 *            nobody sleeps for ever, with the look (no invalid end state);
 *            without deaths the look is never needed: with DEATHS=0 there is none in the model.
 *
 * NOT HERE   spinning (a1 again), release by others than the holder, the wrap of the version (4096 acquires between a1 and a5), C11 memory orders (one word).
 *
 * VARIANTS that must be caught, -DNAME
 *   NOVERSION    the version stays                        DROPW       who acquires takes W off
 *   EARLYOFF     r1 takes W off                           BLINDOFF    r3 whatever the word is by then
 *   SLEEPERSAFTER  a4 after a5's compare                  BLINDTAKE   a3 by a store
 *   NOTTOLD      a3 is not told                           TOLDLATE    is told if it has seen a dead holder, however it gets the lock then
 *   NOLASTLOOK   (GIVEUP) leaves without a last look      NOLOOK      no look, with deaths: a releaser that died before r2
 *
 * RUN        tests/model/check lock
 * MEASURED   N=3 TURNS=2 DEATHS=1 is beyond 3.5e7 states: with deaths, three processes acquire once each, or two twice.
 */
#ifndef N
#define N 3
#endif
#ifndef TURNS
#define TURNS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

/* the word; h: index + 1, or 0 */
bit W;
byte h, g, v;

byte generation[N];
bit asleep[N];      /* the kernel's, with what was compared */
byte watch_h[N], watch_g[N];
byte deaths;
/* the checker's */
byte inside;        /* living holders */
bit untold;         /* a holder has died, and nobody was told */

#define IS_DEAD(x, y) (generation[(x) - 1] != (y))

inline forget() { sw = 0; sh = 0; sg = 0; sv = 0; k = 0; told = 0; over = 0; n = 0 }

/* The word becomes this one's. */
inline hold()
{
    h = i + 1;
    g = generation[i];
#ifndef NOVERSION
    v++;
#endif
#ifdef DROPW
    W = 0;
#endif
    assert(inside == 0);
    inside++;
}

/* It dies; who takes its place is another thread, which begins with nothing. */
inline die()
{
    deaths++;
    if
    :: h == i + 1 && g == generation[i] -> inside--; untold = 1
    :: else -> skip
    fi;
    /* the kernel wakes one that watches over it, if there is one; `heard` of it wakes the others */
    k = 0;
    do
    :: k < N && asleep[k] && watch_h[k] == i + 1 && watch_g[k] == generation[i] ->
        asleep[k] = 0; break
    :: k < N && !(asleep[k] && watch_h[k] == i + 1 && watch_g[k] == generation[i]) -> k++
    :: k == N -> break
    od;
    generation[i]++;
    asleep[i] = 0;
    forget()
}

#define DIES d_step { deaths < DEATHS -> die() }; goto born
#define SAME (W == sw && h == sh && g == sg && v == sv)

proctype process(byte i)
{
    bit sw, told, over, n;
    byte sh, sg, sv, k, turns;

born:
    if
    :: turns == TURNS -> goto out
    :: turns < TURNS -> skip
    fi;
a1:
    if
    :: DIES
    :: d_step { sw = W; sh = h; sg = g; sv = v }
    fi;
    if
    :: sh == 0 -> goto a2
    :: sh != 0 && IS_DEAD(sh, sg) ->
#ifdef TOLDLATE
        told = 1;
#endif
        goto a3
    :: sh != 0 && !IS_DEAD(sh, sg) -> skip
    fi;
    if
    :: over -> d_step { forget(); turns++ }; goto born /* leaves without it */
    :: !over -> skip
    fi;
#ifndef SLEEPERSAFTER
    /* a4 */
    if
    :: sw -> skip
    :: !sw ->
        if
        :: DIES
        :: d_step { SAME -> W = 1 }
        :: d_step { !SAME -> forget() }; goto a1
        fi
    fi;
#endif
    /* a5: the holder may have died since a1, then it does not sleep either */
    if
    :: DIES
    :: d_step { h == sh && v == sv && !IS_DEAD(sh, sg) -> asleep[i] = 1; watch_h[i] = sh; watch_g[i] = sg }
    :: d_step { !(h == sh && v == sv && !IS_DEAD(sh, sg)) -> skip }
    fi;
#ifdef SLEEPERSAFTER
    W = 1;
#endif
    if
    :: DIES
    :: d_step { !asleep[i] -> skip }
#ifdef GIVEUP
    :: d_step { i == 0 && asleep[i] -> asleep[i] = 0; over = 1 }
#endif
#if DEATHS > 0 && !defined(NOLOOK)
    :: d_step { timeout -> asleep[i] = 0 }
#endif
    fi;
#ifdef GIVEUP
    if
    :: i == 0 -> over = 1 /* it was woken, and its time was over then */
    :: skip
    fi;
#ifdef NOLASTLOOK
    if
    :: over -> d_step { forget(); turns++ }; goto born
    :: !over -> skip
    fi;
#endif
#endif
    /* woken by a death, it wakes the others that watch over the same */
    if
    :: IS_DEAD(sh, sg) ->
        if
        :: DIES
        :: d_step {
            k = 0;
            do
            :: k < N ->
                if
                :: asleep[k] && watch_h[k] == sh && watch_g[k] == sg -> asleep[k] = 0
                :: else -> skip
                fi;
                k++
            :: k == N -> break
            od;
            k = 0
           }
        fi
    :: !IS_DEAD(sh, sg) -> skip
    fi;
    d_step { sw = 0; sh = 0; sg = 0; sv = 0 };
    goto a1;

a2:
    if
    :: DIES
    :: d_step { SAME -> assert(untold == told); untold = 0; hold() }; goto held
    :: d_step { !SAME -> sw = 0; sh = 0; sg = 0; sv = 0 }; goto a1
    fi;
a3:
#ifdef BLINDTAKE
    if
    :: DIES
    :: d_step { hold(); untold = 0 }
    fi;
#else
    if
    :: DIES
#ifdef NOTTOLD
    :: d_step { SAME -> assert(!untold); hold() }
#else
    :: d_step { SAME -> assert(untold); untold = 0; hold() }
#endif
    :: d_step { !SAME -> sw = 0; sh = 0; sg = 0; sv = 0 }; goto a1
    fi;
#endif

held:
    atomic { forget() };
    /* r1: nobody else changes the word now, but for W; the CAS goes on until it succeeds */
    if
    :: DIES
    :: d_step {
        sw = W; sv = v; h = 0; g = 0; inside--;
#ifdef EARLYOFF
        W = 0
#endif
       }
    fi;
    turns++;
    if
    :: !sw -> goto done
    :: sw -> skip
    fi;
    /* r2: any one of those that sleep */
    if
    :: DIES
    :: d_step { asleep[0] -> asleep[0] = 0; n = 1 }
    :: d_step { asleep[1] -> asleep[1] = 0; n = 1 }
#if N > 2
    :: d_step { asleep[2] -> asleep[2] = 0; n = 1 }
    :: d_step { !asleep[0] && !asleep[1] && !asleep[2] -> n = 0 }
#else
    :: d_step { !asleep[0] && !asleep[1] -> n = 0 }
#endif
    fi;
    if
    :: n -> goto done
    :: !n -> skip
    fi;
    /* r3 */
    if
    :: DIES
#ifdef BLINDOFF
    :: W = 0
#else
    :: d_step { h == 0 && v == sv -> W = 0 }
    :: d_step { !(h == 0 && v == sv) -> skip }
#endif
    fi;
done:
    atomic { forget() };
    goto born;
out:
    skip
}

init
{
    byte i;

    atomic {
        do
        :: i < N -> run process(i); i++
        :: else -> break
        od;
        i = 0
    }
}
