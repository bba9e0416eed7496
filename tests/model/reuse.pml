/* SPDX-License-Identifier: MIT */
/*
 * One job slot used by map after map, while workers that know an older map come late or die.
 *
 * MODELLED   a host that runs MAPS maps of G grains, one after the other, on one job slot; 2
 *            workers that die any number of times. J = open, ticket is the job's word, one word.
 *            Each worker has a hazard word `inside`, in its range line of the slot, beside R, F
 *            and S: the ticket of the job whose words it may touch, or 0.
 *
 *   worker   j1  read J: open, ticket t               host   h1  wait until every inside is 0
 *            j2  inside := t
 *            j3  read J again: another? j6                   h2  write R, F, S of every slot
 *            j4  claim, steal, scan as in range.pml          h3  J := (open, next ticket)
 *            j5  all done? CAS J: (open, t) -> (closed, t)   h4  wait until J is closed
 *            j6  inside := 0
 *   successor of a dead worker: goes on from S, F and R if inside names the open job, else j6
 *
 *            -DCALLER: the caller works. At h4 it scans too, and closes the job itself, whatever
 *            the workers do meanwhile (open to free, without done); they may leave without j5.
 *            When that is safe is the matter of await.pml.
 *
 *            Epochs of the words have one value here: the worst case, in which it has come round.
 *            What holds is held by the hazard word alone. -DEPOCHS=n gives R an epoch of n values,
 *            and a worker that reads R of another map is an error. -DSKEW: all grains in slot 0.
 *
 * CHECKED    no grain runs but for the map that is open, by a worker that entered that map; none
 *            runs twice, unless its worker died with it in flight since (assertions in run_chunk);
 *            a map is closed only when every one of its grains has run (assertion in close_job);
 *            no worker changes words while the host writes them (assertion on filling);
 *            every map is closed and the host always gets on (no invalid end state);
 *            the caller closes a map only when every grain has run (assertion in host).
 *
 * NOT HERE   several job slots, death of the host (it ends the pool), sleeping (park.pml), C11
 *            memory orders: j2 then j3 against the host's change of J (it takes the slot by an
 *            exchange) then h1 is Dekker's pattern and takes seq_cst on all four.
 *
 * VARIANTS that must be caught, -DNAME
 *   NOHAZARD     the host does not wait (h1)      NORECHECK   the worker does not read J again (j3)
 *   STATEONLY    j3 looks at open, not ticket     EARLYCLEAR  a successor clears inside first
 *   NOCLEAR      a successor that finds the job closed leaves inside as it is
 *
 * RUN        spin -a reuse.pml
 *            gcc -O2 -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c && ./pan -m100000
 *            or tests/model/check for all of them.
 * MEASURED   G=4 MAPS=3 SKEW: 1.8e5 states, 0.2 s, 0.2 GB; CALLER: 4.3e6 states, 6 s, 0.3 GB.
 */
#define W 2
#ifndef G
#define G 2
#endif
#ifndef MAPS
#define MAPS 2
#endif
#ifdef DEATHS
byte deaths;
#define MAY_DIE (deaths < DEATHS)
#define COUNT_DEATH deaths++
#else /* any number */
#define MAY_DIE true
#define COUNT_DEATH skip
#endif
#ifndef EPOCHS
#define EPOCHS 1
#endif

bit open;                       /* J */
byte ticket;
byte inside[W];
byte lo[W], hi[W], thief[W];    /* R, F, S as in range.pml */
bit par[W];
byte epoch[W];
byte flo[W], fhi[W];
byte svic[W], smid[W], send[W];
bit spar[W];
byte watch[W + 1];              /* the last is the host's */

bit may[G], ran[G];             /* the checker's */
bit filling;

#define OPEN(t) (open && ticket == t)
#define EMPTY(x) (lo[x] >= hi[x])
#define IDLE(x) (flo[x] >= fhi[x])
#define NAMED (svic[i] != 0 && thief[svic[i] - 1] == i + 1)
#define OURS(x) (epoch[x] == t % EPOCHS)

inline die()
{
    COUNT_DEATH;
    if
    :: svic[i] == 0 && !IDLE(i) && lo[i] > flo[i] -> may[flo[i]] = 1
    :: else -> skip
    fi;
    l = 0; h = 0; v = 0; t = 0; last = 0; watch[i] = 0
}

#define STEP(access)                                                                               \
    if                                                                                             \
    :: d_step { MAY_DIE -> die() }; goto reborn                                            \
    :: d_step { access }                                                                           \
    fi

/* A step that changes words of the job. */
#define CHANGE(access) STEP(assert(!filling); access)

inline run_chunk()
{
    assert(OPEN(t) && may[flo[i]]);
    may[flo[i]] = 0;
    ran[flo[i]] = 1
}

inline assert_all_ran()
{
    k = 0;
    do
    :: k < G -> assert(ran[k]); k++
    :: else -> break
    od;
    k = 0
}

inline close_job()
{
    if
    :: OPEN(t) -> assert_all_ran(); open = 0
    :: else -> skip
    fi
}

inline record_steal()
{
    svic[i] = v + 1; smid[i] = l + (h - l) / 2; send[i] = h; spar[i] = 1 - par[i]
}
inline clear_steal() { svic[i] = 0; smid[i] = 0; send[i] = 0; spar[i] = 0 }
inline install_rest() { lo[i] = smid[i] + 1; hi[i] = send[i]; par[i] = spar[i] }
inline count_move()
{
    if
    :: watch[1 - i] == 1 -> watch[1 - i] = 2
    :: else -> skip
    fi;
    if
    :: watch[W] == 1 -> watch[W] = 2
    :: else -> skip
    fi
}

proctype worker(byte i)
{
    byte t, last;    /* the map it is in, and the last one it left */
    byte l, h, v, k;

reborn:
    if
    :: inside[i] == 0 -> goto end_wait
    :: inside[i] != 0 && !OPEN(inside[i]) ->
#ifndef NOCLEAR
        goto leave
#else
        goto end_wait
#endif
    :: d_step { inside[i] != 0 && OPEN(inside[i]) -> t = inside[i] }
    fi;
#ifdef EARLYCLEAR
    STEP(inside[i] = 0);
#endif
resume:
    if
    :: svic[i] == 0 && IDLE(i) -> goto again
    :: svic[i] == 0 && !IDLE(i) && lo[i] > flo[i] -> goto work
    :: svic[i] == 0 && !IDLE(i) && lo[i] <= flo[i] -> CHANGE(flo[i] = 0; fhi[i] = 0); goto again
    :: svic[i] != 0 && !NAMED -> CHANGE(clear_steal()); goto resume
    :: NAMED && par[i] != spar[i] -> goto take
    :: NAMED && par[i] == spar[i] -> goto release
    fi;

end_wait: /* a valid end: no more maps */
    if
    :: d_step { open && ticket != last -> t = ticket }
    fi;
    STEP(inside[i] = t);
#ifndef NORECHECK
    if
#ifdef STATEONLY
    :: !open -> goto leave
    :: open -> skip
#else
    :: !OPEN(t) -> goto leave
    :: OPEN(t) -> skip
#endif
    fi;
#endif

again:
    if
    :: d_step { !EMPTY(i) -> assert(OURS(i)); l = lo[i]; h = hi[i] }
    :: d_step { EMPTY(i) -> assert(OURS(i)) }; goto idle
    fi;
    CHANGE(flo[i] = l; fhi[i] = l + 1);
    if
    :: d_step { MAY_DIE -> die() }; goto reborn
    :: d_step { lo[i] == l && hi[i] == h -> assert(!filling); lo[i] = l + 1; l = 0; h = 0 }
    :: d_step { lo[i] != l || hi[i] != h -> l = 0; h = 0 };
       CHANGE(flo[i] = 0; fhi[i] = 0);
       goto again
    fi;

work:
    STEP(run_chunk());
    CHANGE(flo[i] = 0; fhi[i] = 0);
    goto again;

idle:
    if
    :: d_step { !EMPTY(1 - i) && thief[1 - i] == 0 ->
           v = 1 - i; assert(OURS(v)); l = lo[v]; h = hi[v] }
    :: goto scan
    fi;
    CHANGE(record_steal());
    CHANGE(count_move());
    if
    :: d_step { MAY_DIE -> die() }; goto reborn
    :: d_step { lo[v] == l && hi[v] == h && thief[v] == 0 ->
           assert(!filling); hi[v] = smid[i]; thief[v] = i + 1; l = 0; h = 0; v = 0 }
    :: d_step { lo[v] != l || hi[v] != h || thief[v] != 0 -> l = 0; h = 0; v = 0 };
       CHANGE(clear_steal());
       goto again
    fi;

take:
    CHANGE(flo[i] = smid[i]; fhi[i] = smid[i] + 1);
    CHANGE(install_rest());
release:
    CHANGE(thief[svic[i] - 1] = 0);
    CHANGE(clear_steal());
    goto work;

scan:
#ifdef CALLER
    if
    :: goto leave
    :: skip
    fi;
#endif
    STEP(watch[i] = 1);
    do
    :: d_step { v < W && svic[v] == 0 -> assert(OURS(v)); v++ }
    :: v < W && svic[v] != 0 -> goto leave
    :: v == W -> break
    od;
    v = 0;
    do
    :: v < W && (!EMPTY(v) || thief[v] != 0) -> goto leave
    :: v < W && EMPTY(v) && thief[v] == 0 ->
        if
        :: !IDLE(v) -> goto leave
        :: d_step { IDLE(v) -> v++ }
        fi
    :: v == W -> break
    od;
    if
    :: watch[i] == 2 -> goto leave
    :: watch[i] == 1 -> skip
    fi;
    STEP(close_job());
leave:
    STEP(inside[i] = 0; last = t; t = 0; l = 0; h = 0; v = 0; watch[i] = 0);
    goto end_wait
}

inline fill_range()
{
#ifdef SKEW
    lo[x] = 0; hi[x] = (x == 0 -> G : 0);
#else
    lo[x] = x * G / W; hi[x] = (x + 1) * G / W;
#endif
    thief[x] = 0; par[x] = 0; epoch[x] = map % EPOCHS
}

inline open_job()
{
    filling = 0; ticket = map; open = 1; x = 0;
    do
    :: x < G -> may[x] = 1; ran[x] = 0; x++
    :: else -> break
    od;
    x = 0
}

active proctype host()
{
    byte map = 1, x, k;

    atomic { run worker(0); run worker(1) };
    do
    :: map > MAPS -> break
    :: map <= MAPS ->
#ifndef NOHAZARD
        do
        :: d_step { x < W && inside[x] == 0 -> x++ }
        :: d_step { x == W -> x = 0; filling = 1 }; break
        od;
#else
        filling = 1;
#endif
        do
        :: x < W ->
            d_step { fill_range() };
            d_step { flo[x] = 0; fhi[x] = 0 };
            d_step { svic[x] = 0; smid[x] = 0; send[x] = 0; spar[x] = 0; x++ }
        :: d_step { x == W -> open_job() }; break
        od;
#ifdef CALLER /* a scan that fails begins again when the word that it failed on has changed */
look:
        x = 0;
        watch[W] = 1;
        do
        :: !open -> goto closed
        :: d_step { open && x < W && svic[x] == 0 -> x++ }
        :: open && x < W && svic[x] != 0 -> svic[x] == 0 || !open; goto look
        :: open && x == W -> break
        od;
        x = 0;
        do
        :: x < W && (!EMPTY(x) || thief[x] != 0) -> (EMPTY(x) && thief[x] == 0) || !open; goto look
        :: x < W && EMPTY(x) && thief[x] == 0 ->
            if
            :: !IDLE(x) -> IDLE(x) || !open; goto look
            :: d_step { IDLE(x) -> x++ }
            fi
        :: x == W -> break
        od;
        if
        :: watch[W] == 2 -> goto look
        :: watch[W] == 1 -> skip
        fi;
        d_step { assert_all_ran(); open = 0 };
closed:
        watch[W] = 0;
        x = 0;
#else
        !open;
#endif
        map++
    od
}
