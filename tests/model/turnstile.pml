/* SPDX-License-Identifier: MIT */
/*
 * Turnstiles: sleep until there is a thing to take, and wake one sleeper for each thing (chan/turnstile.h).
 *
 * MODELLED   WAITERS processes that take one thing each; WAKERS that make them, as many in all as there are waiters.
 *
 *   waiter   w0  take a thing, if there is one     w2  word: seq + 1, flag on     w3  as w0
 *            w4  sleep if the word is as w2 left it (one step: the kernel's compare)
 *   waker   k1  make a thing     k2  no flag? done     k3  seq + 1     k4  wake one sleeper
 *            k5  there was none: flag off, if the word is as k3 left it
 *
 * CHECKED    nobody sleeps for ever: all things are taken (no invalid end state), though no sleep ends by itself here. With deaths it
 *            does: then the model would show nothing.
 *
 * VARIANTS that must be caught, -DNAME
 *   KEEPWORD   w2 leaves the word alone where the flag is on      NORECHECK  no w3
 *   NOCHANGE   no k3                                              BLINDOFF   k5 without a compare
 *   FLAGFIRST  k2 before k1
 *
 * RUN        tests/model/check turnstile
 */
#ifndef WAITERS
#define WAITERS 3
#endif
#ifndef WAKERS
#define WAKERS 2
#endif

byte things, made;
bit flag;
bit asleep[WAITERS];
bit same[WAITERS + WAKERS]; /* the word is as this one left it: stands for seq, which would grow for ever */

inline change(x)
{
    j = 0;
    do
    :: j < WAITERS + WAKERS -> same[j] = 0; j++
    :: else -> break
    od;
    j = 0;
    same[x] = 1
}

#define TAKE d_step { things > 0 -> things-- }; goto out

proctype waiter(byte i)
{
    byte j;

look:
    if
    :: TAKE
    :: things == 0 -> skip
    fi;
join:
#ifdef KEEPWORD
    d_step {
        if
        :: flag -> same[i] = 1
        :: else -> change(i)
        fi;
        flag = 1
    };
#else
    d_step { change(i); flag = 1 };
#endif
#ifndef NORECHECK
    if
    :: TAKE
    :: things == 0 -> skip
    fi;
#endif
    d_step { asleep[i] = (same[i] && flag) };
    !asleep[i];
    same[i] = 0;
    goto look;
out:
    same[i] = 0
}

proctype waker(byte x)
{
    byte j, k;
    bit was, woke;

again:
#ifdef FLAGFIRST
    was = flag;
#endif
    if
    :: d_step { made < WAITERS -> made++; things++ }
    :: made == WAITERS -> goto out
    fi;
#ifndef FLAGFIRST
    was = flag;
#endif
    if
    :: !was -> goto again
    :: was -> skip
    fi;
#ifdef NOCHANGE
    same[x] = 1;
#else
    d_step { change(x) };
#endif
    d_step {
        k = 0;
        woke = 0;
        do
        :: k < WAITERS && asleep[k] && !woke -> asleep[k] = 0; woke = 1
        :: k < WAITERS && (!asleep[k] || woke) -> k++
        :: k == WAITERS -> break
        od;
        k = 0
    };
    if
    :: woke -> skip
#ifdef BLINDOFF
    :: d_step { !woke -> flag = 0; change(x) }
#else
    :: !woke ->
        d_step {
            if
            :: same[x] -> flag = 0; change(x)
            :: else -> skip
            fi
        }
#endif
    fi;
    woke = 0;
    same[x] = 0;
    goto again;
out:
    was = 0
}

init
{
    byte i;

    atomic {
        do
        :: i < WAITERS -> run waiter(i); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < WAKERS -> run waker(WAITERS + i); i++
        :: else -> break
        od;
        i = 0
    }
}
