/* SPDX-License-Identifier: MIT */
/*
 * The doorbell of a pipe and who is at its ends: one who sleeps in poll(2), beside others that use the other end, any of whom may be killed at
 * every step (chan/doorbell.h, party.h, and both sides of line.h as far as they ring).
 *
 * MODELLED   2 owners of a descriptor for the same end, of which the second comes at any time and takes the record over; the first may be killed.
 *            USERS of the other end, the first of which has it: each does one thing: sends a message (with `writing`), receives on the other line (uses
 *            the end without `writing`), or closes (u1 .. u5, with `moving`); then it stays, or is killed. At most DEATHS are killed, at every step.
 *
 *   owner    o0 ring the one before, armed = 0, record = own    o1 empty the pipe    o2 armed = 2n    o4 watch `coming`, or `process`
 *            o3 message, closed or gone? a byte, armed = 0      o5 poll: a byte, or the watched one is dead
 *   user     u1 .. u4 of party.h, if another used the end last;  reach: the record, if armed;  r1 tail + 1, or closed;
 *            r2 armed, and not received yet?    check: is what was reached the record's?    r3 .. r5
 *
 * CHECKED    when nothing moves any more, the last owner does not sleep while there is a message, or the end is closed or gone (assertion); nobody waits for
 *            ever (no invalid end state).
 *
 * NOT HERE   bytes without a cause (they are harmless), descriptors that cannot be opened, waits on `filled`.
 *
 * VARIANTS that must be caught, -DNAME
 *   NOLOOK      no o3                           LATEARM     o3 before o2
 *   OLDREACH    no check                        NOMOVING    two may move an end at once
 *   EARLYRING   r2 before r1                    NOTOLD      no u2
 *   NOWATCH     no o4                           LATECOMING  u1 after u2
 *   BLINDZERO   r5 whatever it is by then       LATEDRAIN   o1 after o2
 *   NOTAGAIN    who finds RINGING at r3 does not ring, too
 *   BLINDCLOSE  closes an end that is another's, without u1 .. u4
 *
 *            With ONEWAY nobody receives on the other line: with it, and deaths, the limit of party.h shows: a sender that is killed between r1 and r5 when another has
 *            the end by then.
 *
 * RUN        tests/model/check doorbell
 * MEASURED   USERS=2 DEATHS=1 OWNERS=1 ONEWAY: 2.5e6 states, 3 s, beside other programs.
 */
#ifndef USERS
#define USERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef OWNERS
#define OWNERS 2
#endif

/* ids: 1, 2: owners; 3 ...: users */
#define N (3 + USERS)
#define IS_OWNER(x) ((x) < 3)

byte armed, number, record;
byte tail, head;
bit closed;
byte coming, process, user;
byte writing, reading, moving; /* who has the lock; a dead one does not count */
byte bytes_in[3];              /* the owners' pipes */
byte watched[3];
bit dead[N];
byte deaths;

#define IS_FREE(lock) (lock == 0 || dead[lock])
#define IS_GONE       (dead[user] && dead[process] && (writing == 0 || dead[writing]))
#define DIES          d_step { deaths < DEATHS -> deaths++; dead[i] = 1 }; goto out
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

#ifdef NOTAGAIN
#define MATCHES armed == a
#else
#define MATCHES (armed == a || armed == a + 1 - a % 2)
#endif
/* r3 .. r5 with number `a`, into pipe `fd` */
#ifdef BLINDZERO
#define UNRING armed = 0
#else
#define UNRING if :: armed == a -> armed = 0 :: else fi
#endif
#define RING                                                                                       \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { a != 0 && fd != 0 && MATCHES -> a = a + 1 - a % 2; armed = a; won = 1 }             \
    :: d_step { !(a != 0 && fd != 0 && MATCHES) -> won = 0 }                                       \
    fi;                                                                                            \
    if                                                                                             \
    :: won ->                                                                                      \
        STEP(if :: bytes_in[fd] < 3 -> bytes_in[fd]++ :: else fi);                                 \
        STEP(UNRING)                                                                               \
    :: !won -> skip                                                                                \
    fi;                                                                                            \
    d_step { a = 0; fd = 0; won = 0 }

/* an odd number is somebody's who is ringing, or died at it: one rings for him */
#define READ_ARMED STEP(a = armed)
#define REACH      STEP(fd = record)

proctype owner_of(byte i)
{
    byte a, fd, w, h, found;
    bit won, seen, is_last;

#define MAY_DIE i == 1 && OWNERS > 1 && deaths < DEATHS
#undef DIES
#define DIES d_step { MAY_DIE -> deaths++; dead[i] = 1 }; goto out
    /* o0, with `reading` */
    d_step { IS_FREE(reading) -> reading = i };
    READ_ARMED;
    REACH;
    RING;
    STEP(armed = 0);
    STEP(record = 0);
    STEP(record = i);
    goto arm;

look:
    /* what poll's caller does next: he receives, and does not wait */
    if
    :: DIES
    :: d_step { IS_FREE(reading) -> reading = i }
    fi;
    if
    :: DIES
    :: d_step { tail != head -> head++ }
    :: d_step { tail == head -> skip }
    fi;
settle:
    if
    :: DIES
    :: record != i -> reading = 0; goto sleep
    :: record == i && (tail != head || closed) -> goto o3
    :: record == i && tail == head && !closed -> skip
    fi;
arm:
#ifdef LATEARM
    goto o3;
late:
#endif
    /* he waits a while for one who is ringing */
    if
    :: DIES
    :: armed % 2 == 1 -> skip
    :: armed % 2 == 0 -> skip
    fi;
#ifdef LATEDRAIN
    STEP(number++; armed = 2 * number);
    STEP(bytes_in[i] = 0);
#else
    STEP(bytes_in[i] = 0);
    STEP(number++; armed = 2 * number);
#endif
#ifndef NOWATCH
    STEP(w = coming);
    if
    :: DIES
    :: dead[w] -> w = process
    :: !dead[w] -> skip
    fi;
    d_step { watched[i] = w; w = 0 };
#endif
#ifdef LATEARM
    reading = 0;
    goto sleep;
#endif
o3:
#ifndef NOLOOK
    found = 0;
    if
    :: DIES
    :: tail != head || closed -> found = 1; goto shown
    :: tail == head && !closed -> skip
    fi;
    STEP(h = writing);
    if
    :: DIES
    :: !dead[user] -> goto shown
    :: dead[user] -> skip
    fi;
    if
    :: DIES
    :: !dead[process] -> goto shown
    :: dead[process] && h != 0 && !dead[h] -> goto shown
    :: dead[process] && (h == 0 || dead[h]) -> found = 1
    fi;
shown:
    h = 0;
    if
    :: found && armed != 0 ->
        STEP(if :: bytes_in[i] < 3 -> bytes_in[i]++ :: else fi);
        STEP(armed = 0)
    :: !(found && armed != 0) -> skip
    fi;
#endif
#ifdef LATEARM
    if
    :: found -> skip
    :: !found -> goto late
    fi;
#endif
    reading = 0;
    /* he has seen the end: enough */
    if
    :: found && tail == head -> goto out
    :: !(found && tail == head) -> skip
    fi;
sleep:
    skip;
    d_step { a = 0; fd = 0; w = 0; h = 0; found = 0 };
    if
    :: DIES
    :: bytes_in[i] > 0 -> goto look
    :: bytes_in[i] == 0 && dead[watched[i]] && IS_GONE -> goto look
    :: timeout ->
        /* a watched one that is dead is seen at each poll: this one does not sleep */
        if
        :: record == i && !dead[watched[i]] ->
            assert(tail == head);
            assert(!closed);
            assert(!IS_GONE)
        :: else -> skip
        fi
    fi;
out:
    skip;
    d_step { a = 0; fd = 0; w = 0; h = 0; found = 0 }
}

#undef DIES
#define DIES d_step { deaths < DEATHS -> deaths++; dead[i] = 1 }; goto out

proctype user_of(byte i)
{
    byte a, fd, what;
    bit won, early;

    if
    :: what = 1 /* sends */
#ifndef ONEWAY
    :: what = 2 /* receives on the other line */
#endif
    :: what = 3 /* closes */
    fi;
    if
    :: what == 1 ->
        if
        :: DIES
        :: d_step { IS_FREE(writing) -> writing = i }
        fi
    :: what == 2 -> skip
    :: what == 3 ->
#ifdef BLINDCLOSE
        goto used
#else
        skip
#endif
    fi;
    /* party use */
    if
    :: user == i && what != 3 -> goto used
    :: user != i || what == 3 -> skip
    fi;
#ifndef NOMOVING
    if
    :: DIES
    :: d_step { IS_FREE(moving) -> moving = i }
    fi;
#endif
    if
    :: process == i -> goto u4
    :: process != i -> skip
    fi;
#ifndef LATECOMING
    STEP(coming = i);
#endif
#ifndef NOTOLD
    READ_ARMED;
    REACH;
    RING;
#endif
#ifdef LATECOMING
    STEP(coming = i);
#endif
    STEP(process = i);
u4:
    STEP(user = i);
#ifndef NOMOVING
    if
    :: what != 3 -> moving = 0
    :: what == 3 -> skip /* not before r5 */
    fi;
#endif
used:
    if
    :: what == 2 || closed -> goto leave
    :: what == 1 && !closed -> skip
    :: what == 3 && !closed -> STEP(closed = 1); goto r2
    fi;
    /* reach, before anything is changed */
    if
    :: DIES
    :: armed == 0 -> skip
    :: armed != 0 -> fd = record; early = 1
    fi;
#ifdef EARLYRING
    READ_ARMED;
    STEP(tail++);
    goto r3;
#else
    STEP(tail++);
#endif
r2:
    READ_ARMED;
    if
    :: DIES
    :: head == tail && what == 1 -> a = 0
    :: head != tail || what != 1 -> skip
    fi;
r3:
#ifdef OLDREACH
    if
    :: early -> skip
    :: !early ->
        REACH
    fi;
#else
    REACH;
#endif
    RING;
leave:
    if
    :: what == 1 -> writing = 0
    :: what == 2 -> skip
    :: what == 3 ->
        if
        :: moving == i -> moving = 0
        :: moving != i -> skip
        fi
    fi;
idle:
    if
    :: DIES
    :: skip
    fi;
out:
    skip;
    d_step { a = 0; fd = 0; what = 0; won = 0; early = 0 }
}

init
{
    byte x;

    atomic {
        coming = 3;
        process = 3;
        user = 3;
        run owner_of(1);
#if OWNERS > 1
        run owner_of(2);
#endif
        x = 0;
        do
        :: x < USERS -> run user_of(3 + x); x++
        :: else -> break
        od;
        x = 0
    }
}
