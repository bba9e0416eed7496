/* SPDX-License-Identifier: MIT */
/*
 * A launch through the forkserver: of all children that were ever forked for it, one acts if the host was told that it has begun, none if not.
 *
 * MODELLED   a host that asks a server for a child, and another server if the first one dies before it answers; up to SERVERS servers, each of
 *            which may die at every step; children, which wait for what the launch record says (launch.h). The host may die at every step, too,
 *            and may give up: it could not receive the child's descriptor, or has waited too long.
 *
 *   host       h1  record r := OFFERED, ask the server            child   c1  wait until record r is not OFFERED, or the host is dead
 *              h2  an answer: record r := CONFIRMED, begun                c2  CONFIRMED: act
 *                  server dead and no answer: record r := REVOKED,            else: exit
 *                  a new server, from h1 with record r + 1
 *                  or gives up: record r := REVOKED, failed
 *   server     s1  asked: fork a child for record r
 *              s2  answer
 *
 * CHECKED    never do two children act (assertion in child); when all has come to rest and the host lives, one has acted if the host was told of
 *            a child, unless that one was killed, which the host would see, and none if it was not (assertion in monitor); nobody waits for ever
 *            (no invalid end state).
 *
 * NOT HERE   the child's own death (the host has its pidfd), how it begins (keeper.h, crew.h).
 *
 * VARIANTS that must be caught, -DNAME
 *   SAMERECORD   a second server is asked with the first record       NOWAIT     c1 is left out
 *   NOREVOKE     the first record stays OFFERED                       LATECHECK  the host revokes after it has asked again
 *   BLINDWAIT    c1 does not look whether the host lives
 *
 * RUN        tests/model/check launch
 */
#ifndef SERVERS
#define SERVERS 3
#endif

#define OFFERED 1
#define CONFIRMED 2
#define REVOKED 3

byte record[SERVERS];
bit asked[SERVERS];    /* a request lies in the socket of server i */
bit answered[SERVERS]; /* an answer does */
bit server_dead[SERVERS];
bit server_over[SERVERS]; /* dead, or has nothing to do any more */
bit host_dead, host_over;
bit was_told;   /* the host: it has begun */
byte n_children, n_acting;

#ifdef SAMERECORD
#define RECORD(i) 0
#else
#define RECORD(i) (i)
#endif

proctype child(byte r)
{
#ifndef NOWAIT
#ifdef BLINDWAIT
    record[r] != OFFERED;
#else
    record[r] != OFFERED || host_dead;
#endif
    if
    :: record[r] == CONFIRMED && !host_dead ->
#endif
        atomic {
            n_acting++;
            assert(n_acting <= 1)
        }
#ifndef NOWAIT
    :: else -> skip
    fi;
#endif
    n_children--
}

proctype server(byte i)
{
    if
    :: asked[i] ->
        if
        :: true -> skip /* dies before the fork */
        :: atomic { true -> n_children++; run child(RECORD(i)) };
            if
            :: true -> skip /* dies before the answer */
            :: true -> answered[i] = true
            fi
        fi
    :: true -> skip /* dies, or is told to go, before anybody asks */
    fi;
    server_dead[i] = true;
    server_over[i] = true
}

proctype host()
{
    byte i = 0;
ask:
    record[RECORD(i)] = OFFERED;
    run server(i);
    asked[i] = true;
    do
    :: answered[i] ->
        if
        :: true -> record[RECORD(i)] = CONFIRMED; was_told = true; break
        :: true -> record[RECORD(i)] = REVOKED; break /* no descriptor was free for it */
        fi
    :: server_dead[i] && !answered[i] && i + 1 < SERVERS ->
#ifdef LATECHECK
        record[i + 1] = OFFERED;
        run server(i + 1);
        asked[i + 1] = true;
#endif
#ifndef NOREVOKE
#ifndef SAMERECORD
        record[RECORD(i)] = REVOKED;
#endif
#endif
        i++;
#ifdef LATECHECK
        record[RECORD(i)] = CONFIRMED; /* it takes whoever has come first */
        was_told = true;
        break
#else
        goto ask
#endif
    :: server_dead[i] && !answered[i] && i + 1 == SERVERS -> record[RECORD(i)] = REVOKED; break
    :: true -> record[RECORD(i)] = REVOKED; break /* has waited too long */
    :: true -> host_dead = true; break
    od;
    host_over = true
}

active proctype monitor()
{
    run host();
    host_over && n_children == 0;
    byte k = 0;
    do
    :: k < SERVERS && (server_over[k] || !asked[k]) -> k++
    :: k == SERVERS -> break
    od;
    n_children == 0;
    if
    :: host_dead -> skip
    :: else -> assert(n_acting == was_told)
    fi
}
