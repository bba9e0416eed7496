/* SPDX-License-Identifier: MIT */
/*
 * Parking and waking: processes sleep until others have changed something; any of them may die at
 * every step.
 *
 * MODELLED   WAITERS processes that wait for each of CHANGES changes; WAKERS processes that make
 *            them; up to DEATHS deaths, each replaced by a process that starts anew; a warden that
 *            hears of each death, some time later, and wakes everyone.
 *
 *   waiter   w1  seen = seq                            waker   k1  CAS: the change that is due; who
 *            w2  changed? act, from w1                             made it goes on
 *            w4  CAS: seq, still seen, gets the flag           k2  seq += 1, keeps the flag
 *                moved: from w1                                k3  no flag? done
 *            w5  sleep if (seq, flag) is (seen, set)           k4  take the flag off (fetch_and)
 *                (one step: the kernel's compare)              k5  if it was on: wake all
 *   warden   d1  seq += 1    d2  take the flag off    d3  wake all, always
 *
 *            seq and flag ("somebody sleeps") are ONE word, the one that the kernel compares. In
 *            two words (-DTWOWORDS) wake-ups get lost without any death: a waiter that has read the
 *            new seq sets the flag at w4, a waker that made this seq takes it off at k4 and wakes
 *            nobody, the waiter falls asleep at w5, and the next waker finds no flag.
 *
 *            This is also the end of a map: the change is the CAS of a job from open to done, by
 *            whoever finds it finished, and the waiter is the host. Nobody but that waker, or after
 *            its death the warden, wakes the host.
 *
 * CHECKED    nobody sleeps for ever: every waiter sees every change (no invalid end state), though
 *            parks have no deadline here;
 *            no flag and a process asleep on the current seq only while a waker is between k4 and
 *            k5, or is dead and the warden has not come to it (assertion in monitor).
 *            d3 must not ask for the flag: a waker that dies between k4 and k5 has taken it off.
 *
 * NOT HERE   w3 (spinning: w1 again), deadlines, the end of the warden, C11 memory orders (there is
 *            one word, so only k1 must come before k2, and w1 before w2: release and acquire).
 *
 * VARIANTS that must be caught, -DNAME
 *   TWOWORDS       flag and seq in two words (above)          SLEEPERSAFTER  w4 after w5's compare
 *   NORESCAN       looks for changes (w2) before w1 only
 *   ANNOUNCEFIRST  k2 before k1                               ROUSEFIRST     k2 after k5
 *   NOWARDENWAKE   the warden does nothing                    WARDENASKS     d3 if it was on
 *   WARDENSILENT   no d1                                      WARDENLATE     d1 after d3
 *
 * RUN        spin -a park.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan
 *            or tests/model/check for all of them.
 * MEASURED   WAITERS=2 WAKERS=2 CHANGES=2 DEATHS=2: 3.9e6 states, 6 s, 0.4 GB;
 *            CHANGES=4 DEATHS=0: 6.5e5 states, 1 s.
 */
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef CHANGES
#define CHANGES 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

byte changed;        /* changes made */
byte seq;            /* seq and flag: one word */
bit flag;
byte seen[WAITERS];
bit asleep[WAITERS]; /* the kernel's */
byte cleared;        /* the checker's: wakers between k4 and k5 */
byte deaths, unheard;

inline announce() { seq++ }
inline wake_all()
{
    k = 0;
    do
    :: k < WAITERS -> asleep[k] = 0; k++
    :: else -> break
    od;
    k = 0
}

#define DIES d_step { deaths < DEATHS -> deaths++; unheard++; bury() }; goto born
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

proctype waiter(byte i)
{
    byte known;
#define bury() known = 0; seen[i] = 0; asleep[i] = 0

born:
#ifdef NORESCAN
    if
    :: d_step { changed > known -> known = changed }
    :: changed == known -> skip
    fi;
    STEP(seen[i] = seq);
    if
    :: known == CHANGES -> goto out
    :: known < CHANGES -> skip
    fi;
#else
    STEP(seen[i] = seq);
    if
    :: d_step { changed > known && changed < CHANGES -> known = changed; seen[i] = 0 }; goto born
    :: changed == CHANGES -> goto out
    :: changed == known && changed < CHANGES -> skip
    fi;
#endif
#ifdef SLEEPERSAFTER
    if
    :: d_step { seq != seen[i] -> seen[i] = 0 }; goto born
    :: seq == seen[i] -> skip
    fi;
    STEP(flag = 1);
    STEP(asleep[i] = 1);
#elif defined(TWOWORDS)
    STEP(flag = 1);
    STEP(asleep[i] = (seq == seen[i]));
#else
    if
    :: DIES
    :: d_step { seq != seen[i] -> seen[i] = 0 }; goto born
    :: d_step { seq == seen[i] -> flag = 1 }
    fi;
    STEP(asleep[i] = (seq == seen[i] && flag));
#endif
    if
    :: DIES
    :: d_step { !asleep[i] -> seen[i] = 0 }; goto born
    fi;
out:
    seen[i] = 0
}
#undef bury

proctype waker()
{
    byte k;
    bit was;
#define bury() cleared = cleared - was; was = 0

born:
#ifdef ANNOUNCEFIRST
    STEP(announce());
#endif
    if
    :: DIES
    :: d_step { changed < CHANGES -> changed++ }
    :: changed == CHANGES -> goto out
    fi;
#if !defined(ANNOUNCEFIRST) && !defined(ROUSEFIRST)
    STEP(announce());
#endif
    if
    :: DIES
    :: !flag -> goto next
    :: flag -> skip
    fi;
    STEP(was = flag; flag = 0; cleared = cleared + was);
    if
    :: DIES
    :: !was -> skip
    :: d_step { was -> wake_all(); cleared--; was = 0 }
    fi;
next:
#ifdef ROUSEFIRST
    STEP(announce());
#endif
    goto born;
out:
    skip
}

proctype warden()
{
    byte k;
    bit was;

end_wait: /* a valid end: nobody dies any more */
    unheard > 0;
#ifndef NOWARDENWAKE
#if !defined(WARDENSILENT) && !defined(WARDENLATE)
    announce();
#endif
#ifdef WARDENASKS
    d_step { was = flag; flag = 0; cleared = cleared + was };
    if
    :: !was -> skip
    :: d_step { was -> wake_all(); cleared--; was = 0 }
    fi;
#else
    flag = 0;
    d_step { wake_all() };
#endif
#ifdef WARDENLATE
    announce();
#endif
#endif
    unheard--;
    goto end_wait
}

#define SLEEPS(x) (asleep[x] && seen[x] == seq)
#if WAITERS == 1
#define SOMEBODY_SLEEPS SLEEPS(0)
#elif WAITERS == 2
#define SOMEBODY_SLEEPS (SLEEPS(0) || SLEEPS(1))
#else
#define SOMEBODY_SLEEPS (SLEEPS(0) || SLEEPS(1) || SLEEPS(2))
#endif

proctype monitor()
{
end_watch:
    atomic { !flag && SOMEBODY_SLEEPS && cleared == 0 && unheard == 0 -> assert(flag) }
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
        :: i < WAKERS -> run waker(); i++
        :: else -> break
        od;
        i = 0;
        run warden();
        run monitor()
    }
}
