/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* Named segments whose creator, or who removes them, is killed or held at each step; and races for a name. */
#include "t_segment.h"

#include "fault.h"
#include "shmfile.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#ifdef FORKMAP_FAULTS

static void create_and_die(void *arg)
{
    const char *point = arg;
    fm_shm *s;
    if (fmi_fault_arm(point, 1, 1) != 0)
        _exit(3);
    _exit(fm_shm_create(&s, t_name("dead"), T_BYTES, NULL) == 0 ? 2 : 4); /* not reached */
}

static void kill_creator_at(const char *point)
{
    assert_int_equal(t_signal(t_in_child(create_and_die, (void *)(uintptr_t)point)), SIGKILL);
}

static void kill_before_the_name(void)
{
    fm_shm_info info;
    kill_creator_at("shmfile.nameless");
    assert_int_equal(t_find(t_name("dead"), &info), 0);
    assert_int_equal(t_attach(t_name("dead"), 0), -ENOENT);
    t_end(t_create(t_name("dead"), 10));
}

static void kill_in_the_making(void)
{
    static const char *const points[] = {"segment.making", "segment.resized", "segment.reserved"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        fm_shm_info info;
        fm_shm *s;
        kill_creator_at(points[i]);
        assert_int_equal(t_attach(t_name("dead"), 0), FM_ECORRUPT);
        assert_non_null(strstr(fm_error_detail(), "died as it made it"));
        assert_int_equal(fm_shm_create(&s, t_name("dead"), 10, NULL), -EEXIST);
        assert_int_equal(t_find(t_name("dead"), &info), 1);
        assert_int_equal(info.creator, FM_SHM_DEAD);
        assert_int_equal(info.is_ready, 0);
        assert_int_equal(info.bytes, T_BYTES);
        assert_int_equal(fm_shm_remove(t_name("dead"), FM_SHM_IF_DEAD), 0);
        t_end(t_create(t_name("dead"), 10));
    }
}

static void kill_after_it(void)
{
    fm_shm_info info;
    fm_shm *s;
    kill_creator_at("segment.ready");
    assert_int_equal(t_find(t_name("dead"), &info), 1);
    assert_int_equal(info.creator, FM_SHM_DEAD);
    assert_int_equal(info.is_ready, 1);
    assert_int_equal(fm_shm_attach(&s, t_name("dead"), NULL), 0);
    assert_int_equal(fm_shm_remove(t_name("dead"), FM_SHM_IF_DEAD), 0);
    memset(fm_shm_data(s), 1, T_BYTES); /* removing takes the name, not the memory */
    fm_shm_close(s);
}

static void unlink_and_die(void *arg)
{
    if (fmi_fault_arm("shmfile.remove", 1, 1) != 0)
        _exit(3);
    _exit(fm_shm_unlink(arg) == 0 ? 2 : 4);
}

static void kill_the_remover(void)
{
    fm_shm *s = t_create(t_name("remover"), 10);
    assert_int_equal(t_signal(t_in_child(unlink_and_die, s)), SIGKILL);
    assert_int_equal(t_attach(t_name("remover"), 0), 0);
    t_end(s);
}

/* ---- held at a step: the hook waits in the child until the test closes its end of a pipe ---- */

static const char *held_at;
static int reached[2], released[2];

static void hold(const char *point)
{
    char byte = 0;
    if (strcmp(point, held_at) != 0)
        return;
    close(released[1]); /* the child's copy */
    if (write(reached[1], "x", 1) != 1)
        _exit(4);
    while (read(released[0], &byte, 1) < 0)
        ;
}

static pid_t start_held(const char *point, void (*fn)(void *), void *arg)
{
    char byte;
    held_at = point;
    assert_int_equal(pipe(reached), 0);
    assert_int_equal(pipe(released), 0);
    fmi_fault_hook(hold);
    pid_t pid = t_start_child(fn, arg);
    fmi_fault_hook(NULL);
    close(reached[1]);
    assert_int_equal(read(reached[0], &byte, 1), 1);
    return pid;
}

static void let_go(pid_t pid)
{
    close(released[1]);
    assert_int_equal(t_wait_child(pid), 0);
    close(released[0]);
    close(reached[0]);
}

static void create_and_leave(void *arg)
{
    fm_shm *s;
    (void)arg;
    EXPECT(fm_shm_create(&s, t_name("held"), T_BYTES, NULL) == 0);
}

static void look_while_it_is_made(void)
{
    static const char *const points[] = {"segment.making", "segment.resized", "segment.reserved"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        fm_shm_info info;
        pid_t pid = start_held(points[i], create_and_leave, NULL);
        int attached = t_attach(t_name("held"), 0), found = t_find(t_name("held"), &info);
        int removed = fm_shm_remove(t_name("held"), FM_SHM_IF_DEAD);
        let_go(pid);
        assert_int_equal(attached, -EAGAIN);
        assert_int_equal(found, 1);
        assert_int_equal(info.creator, FM_SHM_ALIVE);
        assert_int_equal(info.pid, pid);
        assert_int_equal(info.is_ready, 0);
        assert_int_equal(removed, -EBUSY);
        assert_int_equal(t_attach(t_name("held"), 0), 0);
        assert_int_equal(fm_shm_remove(t_name("held"), FM_SHM_IF_DEAD), 0);
    }
}

static void unlink_it(void *arg)
{
    EXPECT(fm_shm_unlink(arg) == 0);
}

static void remove_while_it_is_removed(void)
{
    fm_shm *s = t_create(t_name("removed"), 10);
    pid_t pid = start_held("shmfile.remove", unlink_it, s);
    int unlinked = fm_shm_unlink(s), removed = fm_shm_remove(t_name("removed"), 0);
    let_go(pid);
    assert_int_equal(unlinked, -EAGAIN);
    assert_int_equal(removed, -EAGAIN);
    assert_int_equal(fm_shm_unlink(s), -ENOENT);
    fm_shm_close(s);
}

static void create_plain_and_die(void *arg)
{
    int fd;
    (void)arg;
    if (fmi_fault_arm("shmfile.empty", 1, 1) != 0)
        _exit(3);
    (void)fmi_shmfile_create(&fd, t_name("plain"), "x", 1, FMI_SHMFILE_PLAIN);
    _exit(2);
}

static void kill_between_name_and_header(void)
{
    assert_int_equal(t_signal(t_in_child(create_plain_and_die, NULL)), SIGKILL);
    assert_int_equal(t_attach(t_name("plain"), 0), -EAGAIN);
    assert_int_equal(unlink(t_path(t_name("plain"))), 0);
}

#define IN_FAULT_BUILDS(call) call
#else
#define IN_FAULT_BUILDS(call) t_skip("a build with FORKMAP_FAULTS")
#endif

static void test_segment_creator_killed_before_the_name_leaves_nothing(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_before_the_name());
}

static void
test_segment_creator_killed_as_it_makes_it_leaves_a_name_that_is_found_and_removed(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_in_the_making());
}

static void test_segment_creator_killed_after_it_leaves_a_whole_one(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_after_it());
}

static void test_segment_remover_killed_leaves_it_to_the_next(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_the_remover());
}

static void test_segment_in_the_making_is_eagain_and_not_removed_as_dead(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(look_while_it_is_made());
}

static void test_segment_that_is_removed_just_now_is_removed_by_nobody_else(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(remove_while_it_is_removed());
}

static void
test_segment_creator_killed_between_plain_name_and_header_leaves_an_empty_file(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_between_name_and_header());
}

/* ---- where /dev/shm has no files without a name ---- */

static void test_segment_file_made_the_plain_way_is_the_same(void **state)
{
    (void)state;
    struct fmi_segment_shm header, found;
    struct stat st;
    int fd, second;
    mode_t mask = umask(0777);
    fmi_segment_describe(&header, T_BYTES, (uint32_t)sysconf(_SC_PAGESIZE));
    int rc = fmi_shmfile_create(&fd, t_name("plain"), &header, sizeof header, FMI_SHMFILE_PLAIN);
    umask(mask);
    assert_int_equal(rc, 0);
    assert_int_equal(
        fmi_shmfile_create(&second, t_name("plain"), &header, sizeof header, FMI_SHMFILE_PLAIN),
        -EEXIST);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    t_read_header(t_name("plain"), &found);
    assert_memory_equal(&header, &found, sizeof header);
    assert_int_equal(t_attach(t_name("plain"), 0), -EAGAIN);
    assert_int_equal(fmi_shmfile_remove(fd, t_name("plain")), 0);
    close(fd);
}

/* ---- races ---- */

enum { N_RIVALS = 4, N_ROUNDS = 2000 };

/* Exits with 10 if it made the segment, 11 if the name was taken. */
static void create_when_told(void *arg)
{
    char byte;
    fm_shm *s;
    const int *start = arg;
    close(start[1]);
    EXPECT(read(start[0], &byte, 1) == 0);
    int rc = fm_shm_create(&s, t_name("rivals"), T_BYTES, NULL);
    EXPECT(rc == 0 || rc == -EEXIST);
    _exit(rc == 0 ? 10 : 11);
}

static void test_segment_of_rivals_for_a_name_one_wins(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        int start[2], n_won = 0;
        pid_t pids[N_RIVALS];
        assert_int_equal(pipe(start), 0);
        for (int i = 0; i < N_RIVALS; i++)
            pids[i] = t_start_child(create_when_told, start);
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < N_RIVALS; i++) {
            int code = t_exit_code(t_wait_child(pids[i]));
            assert_in_range(code, 10, 11);
            n_won += code == 10;
        }
        assert_int_equal(n_won, 1);
        assert_int_equal(fm_shm_remove(t_name("rivals"), FM_SHM_IF_DEAD), 0);
    }
}

static void come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        fm_shm *s;
        EXPECT(fm_shm_create(&s, t_name("comes"), T_BYTES + (size_t)i, NULL) == 0);
        sched_yield(); /* on a single core, too, others come between */
        EXPECT(fm_shm_unlink(s) == 0);
        fm_shm_close(s);
    }
}

static void test_segment_attached_as_it_comes_and_goes_is_whole_or_not_there(void **state)
{
    (void)state;
    int n_whole = 0, rc = 0;
    pid_t pid = t_start_child(come_and_go, NULL);
    while (t_process_state(pid) != 'Z') {
        fm_shm *s;
        rc = fm_shm_attach(&s, t_name("comes"), NULL);
        if (rc != 0 && rc != -ENOENT && rc != -EAGAIN)
            break;
        if (rc != 0)
            continue;
        n_whole++;
        ((volatile char *)fm_shm_data(s))[fm_shm_bytes(s) - 1] = 1; /* no bus error */
        if (fm_shm_bytes(s) < T_BYTES)
            break;
        fm_shm_close(s);
    }
    if (rc != 0 && rc != -ENOENT && rc != -EAGAIN)
        print_error("attach: %s: %s\n", fm_strerror(rc), fm_error_detail());
    assert_int_equal(t_wait_child(pid), 0);
    assert_true(rc == 0 || rc == -ENOENT || rc == -EAGAIN);
    assert_true(n_whole > 0);
}

T_MAIN(T_TEST(test_segment_creator_killed_before_the_name_leaves_nothing),
       T_TEST(test_segment_creator_killed_as_it_makes_it_leaves_a_name_that_is_found_and_removed),
       T_TEST(test_segment_creator_killed_after_it_leaves_a_whole_one),
       T_TEST(test_segment_remover_killed_leaves_it_to_the_next),
       T_TEST(test_segment_in_the_making_is_eagain_and_not_removed_as_dead),
       T_TEST(test_segment_that_is_removed_just_now_is_removed_by_nobody_else),
       T_TEST(test_segment_file_made_the_plain_way_is_the_same),
       T_TEST(test_segment_creator_killed_between_plain_name_and_header_leaves_an_empty_file),
       T_TEST(test_segment_of_rivals_for_a_name_one_wins),
       T_TEST(test_segment_attached_as_it_comes_and_goes_is_whole_or_not_there))
