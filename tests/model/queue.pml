/* SPDX-License-Identifier: MIT */
/*
 * The cells of a queue: writers and readers, any of whom may be killed at every step (chan/ring.h).
 *
 * MODELLED   2 writers that put MESSAGES messages each, 2 readers, CAP cells; up to DEATHS deaths, at least one reader
 *            stays alive; somebody who closes the queue at any time. A message is two words.
 *
 *   writer   f1  t = tail, is it closed?     f2  read the word of cell t % CAP
 *            w1  CAS: FREE r -> WRITING r, me     w2  two words     w3  word = FULL r     w4  CAS: tail t -> t + 1
 *   reader   f1  h = head                    f2  read the word of cell h % CAP
 *            r1  CAS: FULL r -> READING r, me     r2  two words     r3  word = FREE r + 1     r4  CAS: head h -> h + 1
 *   both     a cell that is past the position: help tail or head on
 *            a cell whose holder is dead: CAS: FREE of the next round
 *   reader   FREE, and closed: CAS: SEALED; only then "closed"
 *
 * CHECKED    no message is read twice or in part; of those that became FULL none is missing when all have ended, but one
 *            for each reader that died; each reader sees the messages of a writer in their order; a position
 *            never finds a word that it cannot have (assertions). Nobody waits for ever (no invalid end state).
 *
 * NOT HERE   sleeping and waking: turnstile.pml. Blocks of long messages. Rounds that come again after 2^25.
 *
 * VARIANTS that must be caught, -DNAME
 *   NOBURY      cells of the dead stay as they are            BLINDBURY  who is at a cell is not asked if he is alive
 *   NOHELP      only the writer moves tail on                 EARLYFREE  r3 before r2
 *   NOSEAL      "closed" without SEALED                       NOROUND    words without rounds
 *   EARLYFULL   w3 before w2                                  NOTAKE     r1 without looking: a store
 *
 * RUN        tests/model/check queue
 * MEASURED   CAP=1 DEATHS=2 MESSAGES=1: 4.6e6 states, 41 s; CAP=2 DEATHS=2 MESSAGES=1: 4.0e6, 13 s; CAP=2 DEATHS=0
 *            MESSAGES=2: 1.6e7, 67 s, beside other programs.
 */
#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef CAP
#define CAP 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define FREE    0
#define WRITING 1
#define FULL    2
#define READING 3
#define SEALED  4
#define NOBODY  4

#ifdef NOROUND
#define SAME_ROUND(c) 1
#else
#define SAME_ROUND(c) (rd[c] == r)
#endif
#define WORD_IS(c) (st[c] == s && SAME_ROUND(c) && who[c] == w)
#define N          (2 * MESSAGES)

byte st[CAP], rd[CAP], who[CAP];
byte one[CAP], two[CAP]; /* the message */
byte tail, head;
bit closed;
bit dead[5];
byte deaths, dead_readers, ended;
byte n_full, n_read;
bit was_read[N];

#define DIES d_step { deaths < DEATHS -> deaths++; dead[i] = 1 }; goto out
#define STEP(access)                                                                               \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { access }                                                                           \
    fi

#define HOLDER_LIVES(w) (w == NOBODY || !dead[w])
#define BURY(c)                                                                                    \
    if                                                                                             \
    :: DIES                                                                                        \
    :: d_step { WORD_IS(c) -> st[c] = FREE; rd[c] = r + 1; who[c] = NOBODY }                       \
    :: !WORD_IS(c) -> skip                                                                         \
    fi

proctype writer(byte i)
{
    byte t, c, s, r, w, n;

find:
    if
    :: DIES
    :: n == MESSAGES -> goto out
    :: n < MESSAGES && closed -> goto out
    :: d_step { n < MESSAGES && !closed -> t = tail; c = t % CAP; s = 0; r = 0; w = 0 }
    fi;
    STEP(s = st[c]; r = rd[c]; w = who[c]);
    if
    :: r == t / CAP && s == FREE -> skip
    :: r == t / CAP && s == SEALED -> goto out
    :: (r == t / CAP && s != FREE && s != SEALED) || r > t / CAP ->
#ifdef NOHELP
        if
        :: DIES
        :: tail != t -> goto find
        fi;
#else
        STEP(if :: tail == t -> tail = t + 1 :: else fi);
#endif
        goto find
    :: r < t / CAP ->
#ifndef NOROUND
        assert(r + 1 == t / CAP && s != FREE && s != SEALED);
#endif
        if
#ifndef NOBURY
#ifdef BLINDBURY
        :: s != FULL ->
#else
        :: !HOLDER_LIVES(w) ->
#endif
            BURY(c);
            goto find
#endif
        :: !WORD_IS(c) -> goto find
        :: closed -> goto find
        :: DIES
        fi
    fi;
    if
    :: DIES
    :: d_step { WORD_IS(c) -> st[c] = WRITING; who[c] = i }
    :: !WORD_IS(c) -> goto find
    fi;
#ifdef EARLYFULL
    STEP(st[c] = FULL; who[c] = NOBODY; n_full++);
#endif
    STEP(one[c] = i * MESSAGES + n);
    STEP(two[c] = i * MESSAGES + n);
#ifndef EARLYFULL
    STEP(st[c] = FULL; who[c] = NOBODY; n_full++);
#endif
    STEP(if :: tail == t -> tail = t + 1 :: else fi);
    n++;
    goto find;
out:
    skip;
    d_step { ended++; t = 0; c = 0; s = 0; r = 0; w = 0; n = 0 }
}

/* At least one reader stays. */
#undef DIES
#define DIES                                                                                       \
    d_step { deaths < DEATHS && dead_readers == 0 -> deaths++; dead_readers++; dead[i] = 1 };      \
    goto out

proctype reader(byte i)
{
    byte t, c, s, r, w, a, b;
    byte next[2];

find:
    STEP(t = head; c = t % CAP; s = 0; r = 0; w = 0);
    STEP(s = st[c]; r = rd[c]; w = who[c]);
    if
    :: r == t / CAP && s == FULL -> skip
    :: r == t / CAP && s == SEALED -> goto out
    :: (r == t / CAP && s == READING) || r > t / CAP ->
        STEP(if :: head == t -> head = t + 1 :: else fi);
        goto find
    :: r == t / CAP && s == FREE ->
        if
        :: DIES
        :: !WORD_IS(c) || head != t -> goto find
#ifdef NOSEAL
        :: closed -> goto out
#else
        :: d_step { closed && WORD_IS(c) -> st[c] = SEALED }; goto out
#endif
        fi
    :: (r == t / CAP && s == WRITING) || r < t / CAP ->
#ifndef NOROUND
        assert(r == t / CAP || (r + 1 == t / CAP && s == READING));
#endif
        if
#ifndef NOBURY
#ifdef BLINDBURY
        :: s == READING || s == WRITING ->
#else
        :: !HOLDER_LIVES(w) ->
#endif
            BURY(c);
            goto find
#endif
        :: !WORD_IS(c) -> goto find
        :: DIES
        fi
    fi;
    if
    :: DIES
#ifdef NOTAKE
    :: d_step { st[c] = READING; who[c] = i }
#else
    :: d_step { WORD_IS(c) -> st[c] = READING; who[c] = i }
    :: !WORD_IS(c) -> goto find
#endif
    fi;
#ifdef EARLYFREE
    STEP(st[c] = FREE; rd[c] = r + 1; who[c] = NOBODY);
#endif
    STEP(a = one[c]);
    STEP(b = two[c]);
#ifndef EARLYFREE
    STEP(st[c] = FREE; rd[c] = r + 1; who[c] = NOBODY);
#endif
    STEP(if :: head == t -> head = t + 1 :: else fi);
    d_step {
        assert(a == b);
        assert(!was_read[a]);
        assert(a % MESSAGES >= next[a / MESSAGES]);
        next[a / MESSAGES] = a % MESSAGES + 1;
        was_read[a] = 1;
        n_read++;
        a = 0;
        b = 0
    };
    goto find;
out:
    skip;
    d_step { ended++; t = 0; c = 0; s = 0; r = 0; w = 0; a = 0; b = 0; next[0] = 0; next[1] = 0 }
}

proctype closer()
{
    closed = 1;
    ended == 4;
    assert(n_full - n_read <= dead_readers)
}

init
{
    byte c;

    atomic {
        do
        :: c < CAP -> who[c] = NOBODY; c++
        :: else -> break
        od;
        c = 0;
        run writer(0);
        run writer(1);
        run reader(2);
        run reader(3);
        run closer()
    }
}
