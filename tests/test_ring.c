/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork threads */
/* TIMEOUT: 60 */
/* The ring of cells: each message is read once, whole, in its writer's order; it holds what it says, and ends when it is closed. */
#include "t.h"
#include "t_mortals.h"

#include "holder.h"
#include "ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_PARTIES = 4, N_MESSAGES = 3000, BAD = 1, CELL = 128 };

/* What the parties of a test share. */
struct game {
    struct fmi_ring_shm ring;
    _Atomic int n_read[MOST_PARTIES]; /* by writer */
    _Atomic uint64_t sums[MOST_PARTIES];
    _Atomic int n_writing;
    int n_messages;
    alignas(64) char cells[64 * CELL];
};

struct payload {
    uint64_t writer, sequence, words[8], check;
};

static struct game *new_game(uint32_t n_cells)
{
    void *bytes;
    t_use_mortals();
    assert_int_equal(t_take_shared(&bytes, sizeof(struct game)), 0);
    struct game *game = bytes;
    fmi_ring_init(&game->ring, n_cells, CELL);
    game->n_messages = N_MESSAGES;
    return game;
}

static void end_game(struct game *game)
{
    munmap(game, sizeof *game);
}

static struct fmi_ring ring_of(struct game *game)
{
    return (struct fmi_ring){.shm = &game->ring,
                             .cells = game->cells,
                             .n_cells = game->ring.n_cells,
                             .cell_bytes = CELL,
                             .me = fmi_mortal_self()};
}

static int put(struct fmi_ring *ring, const struct payload *p, int64_t timeout)
{
    struct fmi_turn turn;
    struct fmi_spot spot;
    fmi_turn_begin(&turn, timeout);
    for (;;) {
        int rc = fmi_ring_find_room(ring, &spot);
        if (rc == 0 && fmi_ring_claim(ring, &spot))
            break;
        if (rc == FMI_RING_WAIT)
            rc = fmi_turn_wait(&turn, &ring->shm->room, &ring->shm->head, spot.holder);
        if (rc != 0)
            return rc;
    }
    memcpy(spot.cell->payload, p, sizeof *p);
    fmi_ring_commit(ring, &spot, sizeof *p);
    return 0;
}

static int get(struct fmi_ring *ring, struct payload *p, int64_t timeout)
{
    struct fmi_turn turn;
    struct fmi_spot spot;
    fmi_turn_begin(&turn, timeout);
    for (;;) {
        int rc = fmi_ring_find(ring, &spot);
        if (rc == 0 && fmi_ring_take(ring, &spot))
            break;
        if (rc == FMI_RING_WAIT)
            rc = fmi_turn_wait(&turn, &ring->shm->message, &ring->shm->tail, spot.holder);
        if (rc != 0)
            return rc;
    }
    memcpy(p, spot.cell->payload, sizeof *p);
    fmi_ring_release(ring, &spot);
    return 0;
}

/* ---- one body ---- */

static void fill(struct payload *p, uint64_t writer, uint64_t sequence)
{
    *p = (struct payload){.writer = writer, .sequence = sequence};
    p->check = writer * 31 + sequence;
    for (int i = 0; i < 8; i++)
        p->check += p->words[i] = sequence * 8 + (uint64_t)i;
}

static int is_whole(const struct payload *p)
{
    struct payload again;
    fill(&again, p->writer, p->sequence);
    return p->writer < MOST_PARTIES && memcmp(p, &again, sizeof again) == 0;
}

/* The last writer closes. */
static int write_all(struct game *game, int me)
{
    struct fmi_ring ring = ring_of(game);
    struct payload p;
    for (int i = 1; i <= game->n_messages; i++) {
        fill(&p, (uint64_t)me, (uint64_t)i);
        if (put(&ring, &p, FM_SECONDS(20)) != 0)
            return BAD;
    }
    if (atomic_fetch_sub(&game->n_writing, 1) == 1)
        fmi_ring_close(&ring);
    return 0;
}

static int read_all(struct game *game)
{
    struct fmi_ring ring = ring_of(game);
    uint64_t last[MOST_PARTIES] = {0};
    struct payload p;
    int rc;
    while ((rc = get(&ring, &p, FM_SECONDS(20))) == 0) {
        if (!is_whole(&p) || p.sequence <= last[p.writer])
            return BAD;
        last[p.writer] = p.sequence;
        atomic_fetch_add(&game->n_read[p.writer], 1);
        atomic_fetch_add(&game->sums[p.writer], p.sequence);
    }
    return rc == FM_ECLOSED ? 0 : BAD;
}

/* ---- two drivers ---- */

struct party {
    struct game *game;
    int me; /* a writer's number; -1: a reader */
};

static int play(struct party *party)
{
    return party->me < 0 ? read_all(party->game) : write_all(party->game, party->me);
}

static void *play_in_thread(void *arg)
{
    return (void *)(intptr_t)play(arg);
}

static void play_in_process(void *arg)
{
    _exit(play(arg));
}

static void expect_all_read(struct game *game, int n_writers)
{
    uint64_t n = (uint64_t)game->n_messages;
    for (int i = 0; i < n_writers; i++) {
        assert_int_equal(atomic_load(&game->n_read[i]), n);
        assert_int_equal(atomic_load(&game->sums[i]), n * (n + 1) / 2);
    }
}

static void run(uint32_t n_cells, int n_writers, int n_readers, int are_threads)
{
    struct game *game = new_game(n_cells);
    struct party parties[2 * MOST_PARTIES];
    pthread_t threads[2 * MOST_PARTIES];
    pid_t pids[2 * MOST_PARTIES];
    int n = n_writers + n_readers;
    atomic_store(&game->n_writing, n_writers);
    for (int i = 0; i < n; i++) {
        parties[i] = (struct party){game, i < n_writers ? i : -1};
        if (are_threads)
            assert_int_equal(pthread_create(&threads[i], NULL, play_in_thread, &parties[i]), 0);
        else
            pids[i] = t_start_child(play_in_process, &parties[i]);
    }
    for (int i = 0; i < n; i++) {
        void *result = NULL;
        if (are_threads)
            pthread_join(threads[i], &result);
        else
            result = (void *)(intptr_t)t_exit_code(t_wait_child(pids[i]));
        assert_null(result);
    }
    expect_all_read(game, n_writers);
    end_game(game);
}

static void test_ring_of_one_cell_hands_each_message_to_one_of_two_threads(void **state)
{
    (void)state;
    run(1, 2, 2, 1);
}

static void test_ring_of_two_cells_hands_each_message_to_one_of_two_threads(void **state)
{
    (void)state;
    run(2, 2, 2, 1);
}

static void test_ring_of_three_cells_keeps_four_writing_threads_in_order(void **state)
{
    (void)state;
    run(3, 4, 1, 1);
}

static void test_ring_of_64_cells_hands_each_message_to_one_of_four_threads(void **state)
{
    (void)state;
    run(64, 4, 4, 1);
}

static void test_ring_of_one_cell_hands_each_message_to_one_of_two_processes(void **state)
{
    (void)state;
    run(1, 2, 2, 0);
}

static void test_ring_of_three_cells_keeps_four_writing_processes_in_order(void **state)
{
    (void)state;
    run(3, 4, 1, 0);
}

static void test_ring_of_64_cells_hands_each_message_to_one_of_four_processes(void **state)
{
    (void)state;
    run(64, 4, 4, 0);
}

/* ---- what it holds, and when it ends ---- */

static void test_ring_holds_as_many_messages_as_it_has_cells(void **state)
{
    (void)state;
    for (uint32_t n_cells = 1; n_cells <= 5; n_cells++) {
        struct game *game = new_game(n_cells);
        struct fmi_ring ring = ring_of(game);
        struct payload p;
        for (uint64_t lap = 0; lap < 3; lap++) {
            for (uint64_t i = 0; i < n_cells; i++) {
                fill(&p, 1, i);
                assert_int_equal(put(&ring, &p, FM_NOWAIT), 0);
                assert_int_equal(fmi_ring_count(&ring), i + 1);
            }
            assert_int_equal(put(&ring, &p, FM_NOWAIT), -EAGAIN);
            assert_int_equal(put(&ring, &p, FM_MS(1)), -ETIMEDOUT);
            for (uint64_t i = 0; i < n_cells; i++) {
                assert_int_equal(get(&ring, &p, FM_NOWAIT), 0);
                assert_true(is_whole(&p));
                assert_int_equal(p.sequence, i);
            }
            assert_int_equal(get(&ring, &p, FM_NOWAIT), -EAGAIN);
            assert_int_equal(get(&ring, &p, FM_MS(1)), -ETIMEDOUT);
            assert_int_equal(fmi_ring_count(&ring), 0);
        }
        end_game(game);
    }
}

static void test_ring_that_is_closed_gives_what_is_there_and_then_ends(void **state)
{
    (void)state;
    struct game *game = new_game(4);
    struct fmi_ring ring = ring_of(game);
    struct payload p;
    fill(&p, 0, 7);
    assert_int_equal(put(&ring, &p, FM_NOWAIT), 0);
    fmi_ring_close(&ring);
    assert_int_equal(put(&ring, &p, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(get(&ring, &p, FM_FOREVER), 0);
    assert_int_equal(p.sequence, 7);
    assert_int_equal(get(&ring, &p, FM_FOREVER), FM_ECLOSED);
    assert_int_equal(get(&ring, &p, FM_NOWAIT), FM_ECLOSED);
    end_game(game);
}

/* A writer that looked before the close, and claims after a reader was told of the end, would lose its message. */
static void test_ring_refuses_a_claim_after_a_reader_was_told_of_the_end(void **state)
{
    (void)state;
    struct game *game = new_game(2);
    struct fmi_ring ring = ring_of(game);
    struct fmi_spot writer, reader;
    assert_int_equal(fmi_ring_find_room(&ring, &writer), 0);
    fmi_ring_close(&ring);
    assert_int_equal(fmi_ring_find(&ring, &reader), FM_ECLOSED);
    assert_int_equal(fmi_ring_claim(&ring, &writer), 0);
    end_game(game);
}

static void test_ring_drains_a_claim_that_came_before_the_end_was_told(void **state)
{
    (void)state;
    struct game *game = new_game(2);
    struct fmi_ring ring = ring_of(game);
    struct fmi_spot writer, reader;
    struct payload p;
    assert_int_equal(fmi_ring_find_room(&ring, &writer), 0);
    assert_int_equal(fmi_ring_claim(&ring, &writer), 1);
    fmi_ring_close(&ring);
    assert_int_equal(fmi_ring_find(&ring, &reader), FMI_RING_WAIT);
    fill(&p, 0, 9);
    memcpy(writer.cell->payload, &p, sizeof p);
    fmi_ring_commit(&ring, &writer, sizeof p);
    assert_int_equal(get(&ring, &p, FM_NOWAIT), 0);
    assert_int_equal(p.sequence, 9);
    assert_int_equal(get(&ring, &p, FM_NOWAIT), FM_ECLOSED);
    end_game(game);
}

/* A late writer's look is a lap old: its claim must not succeed on the next one. */
static void test_ring_refuses_a_claim_that_is_a_lap_late(void **state)
{
    (void)state;
    struct game *game = new_game(2);
    struct fmi_ring ring = ring_of(game);
    struct fmi_spot late;
    struct payload p;
    assert_int_equal(fmi_ring_find_room(&ring, &late), 0);
    for (uint64_t i = 0; i < 2; i++) {
        fill(&p, 0, i);
        assert_int_equal(put(&ring, &p, FM_NOWAIT), 0);
        assert_int_equal(get(&ring, &p, FM_NOWAIT), 0);
    }
    assert_int_equal(fmi_ring_claim(&ring, &late), 0);
    end_game(game);
}

/* ---- words of the dead ---- */

static void end_at_once(void *arg)
{
    *(_Atomic uint64_t *)arg = fmi_mortal_self();
    _exit(0);
}

static void test_holder_is_dead_when_its_process_has_ended(void **state)
{
    (void)state;
    struct game *game = new_game(1);
    uint64_t me = fmi_mortal_self();
    assert_int_equal(fmi_holder_alive(fmi_holder_word(1, 5, me)), me);
    assert_int_equal(t_exit_code(t_in_child(end_at_once, &game->sums[0])), 0);
    uint64_t other = atomic_load(&game->sums[0]);
    assert_int_not_equal(other, 0);
    assert_int_equal(fmi_holder_alive(fmi_holder_word(1, 5, other)), 0);
    end_game(game);
}

static void test_holder_word_gives_back_what_was_put_into_it(void **state)
{
    (void)state;
    uint64_t word = fmi_holder_word(5, FMI_HOLDER_ROUNDS, 0);
    assert_int_equal(fmi_holder_state(word), 5);
    assert_int_equal(fmi_holder_round(word), FMI_HOLDER_ROUNDS);
    assert_int_equal(fmi_holder_ahead(word, FMI_HOLDER_ROUNDS), 0);
    assert_int_equal(fmi_holder_ahead(word, 0), -1); /* the round after the last is 0 */
    assert_int_equal(fmi_holder_ahead(fmi_holder_word(5, 0, 0), FMI_HOLDER_ROUNDS), 1);
    assert_int_equal(fmi_holder_ahead(fmi_holder_word(5, 3, 0), 7), -4);
}

/* ---- overwritten words ---- */

static void test_ring_with_overwritten_words_says_so(void **state)
{
    (void)state;
    static const uint64_t nonsense[] = {UINT64_MAX, 0x5555555555555555u, 0xffffff};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        struct game *game = new_game(2);
        struct fmi_ring ring = ring_of(game);
        struct payload p;
        atomic_store(&game->ring.head, nonsense[i]);
        assert_int_equal(get(&ring, &p, FM_NOWAIT), FM_ECORRUPT);
        atomic_store(&game->ring.tail, nonsense[i]);
        assert_int_equal(put(&ring, &p, FM_NOWAIT), FM_ECORRUPT);
        atomic_store(&game->ring.head, 0);
        atomic_store((_Atomic uint64_t *)game->cells, (uint64_t)7 << 61);
        assert_int_equal(get(&ring, &p, FM_NOWAIT), FM_ECORRUPT);
        end_game(game);
    }
}

T_MAIN(T_TEST(test_ring_of_one_cell_hands_each_message_to_one_of_two_threads),
       T_TEST(test_ring_of_two_cells_hands_each_message_to_one_of_two_threads),
       T_TEST(test_ring_of_three_cells_keeps_four_writing_threads_in_order),
       T_TEST(test_ring_of_64_cells_hands_each_message_to_one_of_four_threads),
       T_TEST(test_ring_of_one_cell_hands_each_message_to_one_of_two_processes),
       T_TEST(test_ring_of_three_cells_keeps_four_writing_processes_in_order),
       T_TEST(test_ring_of_64_cells_hands_each_message_to_one_of_four_processes),
       T_TEST(test_ring_holds_as_many_messages_as_it_has_cells),
       T_TEST(test_ring_that_is_closed_gives_what_is_there_and_then_ends),
       T_TEST(test_ring_refuses_a_claim_after_a_reader_was_told_of_the_end),
       T_TEST(test_ring_drains_a_claim_that_came_before_the_end_was_told),
       T_TEST(test_ring_refuses_a_claim_that_is_a_lap_late),
       T_TEST(test_holder_is_dead_when_its_process_has_ended),
       T_TEST(test_holder_word_gives_back_what_was_put_into_it),
       T_TEST(test_ring_with_overwritten_words_says_so))
