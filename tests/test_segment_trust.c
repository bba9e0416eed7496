/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* What stands in a file of /dev/shm is not believed: truncated, foreign, damaged and hostile ones are refused and left alone. */
#include "t_segment.h"

#include "memory.h"

/* Attach and remove refuse it as no segment, with `text` in the detail, and the list does not speak of it. */
static void assert_is_none(const char *name, const char *text)
{
    fm_shm_info info;
    for (unsigned flags = 0; flags <= FM_SHM_READ_ONLY; flags++) {
        assert_int_equal(t_attach(name, flags), FM_ECORRUPT);
        if (strstr(fm_error_detail(), text) == NULL)
            fail_msg("'%s' is not in the detail: %s", text, fm_error_detail());
        assert_non_null(strstr(fm_error_detail(), name));
    }
    assert_int_equal(fm_shm_remove(name, 0), FM_ECORRUPT);
    assert_int_equal(fm_shm_remove(name, FM_SHM_IF_DEAD), FM_ECORRUPT);
    assert_int_equal(t_find(name, &info), 0);
    assert_int_equal(access(t_path(name), F_OK), 0);
}

static void resize(const char *name, size_t bytes)
{
    assert_int_equal(truncate(t_path(name), (off_t)bytes), 0);
}

static void test_segment_cut_to_any_length_is_corrupt(void **state)
{
    (void)state;
    const size_t page = fmi_sys_page_bytes(), head = sizeof(struct fmi_segment_shm);
    const size_t lengths[] = {
        page + T_BYTES - 1, page + 4096, page + 1, page, page - 1, head + 1, head,
        head - 1,           64,          63,       8,    1};
    fm_shm *s = t_create(t_name("cut"), T_BYTES);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        resize(t_name("cut"), lengths[i]);
        assert_is_none(t_name("cut"), lengths[i] < head ? "too few" : "truncated?");
    }
    assert_int_equal(fm_shm_unlink(s), 0); /* who has it knows it by its inode */
    fm_shm_close(s);
}

static void test_segment_with_bytes_behind_its_data_is_corrupt(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("long"), T_BYTES);
    resize(t_name("long"), fmi_sys_page_bytes() + T_BYTES + 1);
    assert_is_none(t_name("long"), "the header promises");
    t_end(s);
}

/* As a creator leaves it for a moment where files cannot be made without a name. */
static void test_segment_empty_file_is_not_ready_and_not_removed(void **state)
{
    (void)state;
    fm_shm_info info;
    t_write_file(t_path(t_name("empty")), "", 0);
    assert_int_equal(chmod(t_path(t_name("empty")), 0600), 0);
    assert_int_equal(t_attach(t_name("empty"), 0), -EAGAIN);
    assert_int_equal(fm_shm_remove(t_name("empty"), 0), FM_ECORRUPT);
    assert_int_equal(t_find(t_name("empty"), &info), 0);
    assert_int_equal(unlink(t_path(t_name("empty"))), 0);
}

static void test_segment_foreign_files_are_none(void **state)
{
    (void)state;
    char bytes[3 * 4096];
    const char *name = t_name("foreign");
    memset(bytes, 0, sizeof bytes);
    t_write_file(t_path(name), bytes, sizeof bytes); /* as Python's SharedMemory makes them */
    assert_int_equal(chmod(t_path(name), 0600), 0);
    assert_is_none(name, "does not begin with FMSHMSEG");
    memset(bytes, 'x', sizeof bytes);
    t_write_file(t_path(name), bytes, sizeof bytes);
    assert_is_none(name, "does not begin with FMSHMSEG");
    assert_int_equal(unlink(t_path(name)), 0);
}

static void test_segment_what_is_no_regular_file_is_none(void **state)
{
    (void)state;
    char target[PATH_MAX];
    const char *name = t_name("kind");
    fm_shm *s = t_create(t_name("target"), 10);
    snprintf(target, sizeof target, "%s", t_path(t_name("target")));
    assert_int_equal(symlink(target, t_path(name)), 0); /* a good segment, by another's link */
    assert_is_none(name, "no regular file");
    assert_int_equal(unlink(t_path(name)), 0);
    t_end(s);
    assert_int_equal(mkfifo(t_path(name), 0600), 0);
    assert_is_none(name, "no regular file"); /* and nobody waits for a writer */
    assert_int_equal(unlink(t_path(name)), 0);
    assert_int_equal(mkdir(t_path(name), 0700), 0);
    assert_is_none(name, "no regular file");
    assert_int_equal(rmdir(t_path(name)), 0);
}

static void test_segment_that_others_may_open_is_none(void **state)
{
    (void)state;
    static const mode_t modes[] = {0666, 0660, 0604, 0640, 0601};
    fm_shm *s = t_create(t_name("mode"), 10);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(t_path(t_name("mode")), modes[i]), 0);
        assert_is_none(t_name("mode"), "others may open it");
    }
    assert_int_equal(chmod(t_path(t_name("mode")), 0400), 0);
    assert_int_equal(t_attach(t_name("mode"), FM_SHM_READ_ONLY), 0);
    t_end(s);
}

static void test_segment_of_another_user_is_none(void **state)
{
    (void)state;
    if (geteuid() != 0)
        t_skip("the right to give files away (root)");
    fm_shm *s = t_create(t_name("owner"), 10);
    assert_int_equal(chown(t_path(t_name("owner")), 65534, (gid_t)-1), 0);
    assert_is_none(t_name("owner"), "belongs to user 65534");
    t_end(s);
}

/* ---- each field ---- */

static const struct hostile {
    const char *what, *text;
    size_t at, n_bytes;
    uint64_t value;
    int is_sealed; /* with a checksum that is right */
} hostile[] = {
#define FIELD(name, value, is_sealed, text)                                                        \
    {                                                                                              \
#name, text, offsetof(struct fmi_segment_shm, name),                                       \
            sizeof(((struct fmi_segment_shm *)0)->name), value, is_sealed                          \
    }
    FIELD(magic, 0x4745534d48534d45, 1, "does not begin with"),
    FIELD(layout, 0, 1, "layout 0, this library knows 1"),
    FIELD(layout, 2, 1, "layout 2, this library knows 1"),
    FIELD(header_bytes, 0, 1, "a header of 0 bytes"),
    FIELD(header_bytes, 72, 1, "a header of 72 bytes"),
    FIELD(header_bytes, UINT32_MAX, 1, "a header of 4294967295 bytes"),
    FIELD(data_bytes, 0, 1, "no segment has 0 bytes"),
    FIELD(data_bytes, 9999, 1, "the header promises"),
    FIELD(data_bytes, 10001, 1, "truncated?"),
    FIELD(data_bytes, INT64_MAX - 4096, 1, "truncated?"),
    FIELD(data_bytes, INT64_MAX, 1, "no segment has"),
    FIELD(data_bytes, UINT64_MAX, 1, "no segment has"),
    FIELD(data_bytes, UINT64_MAX - 4095, 1, "no segment has"), /* with the header: 0 */
    FIELD(pid, 0, 1, "made by process 0"),
    FIELD(pid, UINT32_MAX, 1, "made by process -1"),
    FIELD(uid, 4242, 1, "made by user 4242"),
    FIELD(created_ns, UINT64_MAX, 1, "made by process"),
    FIELD(state, 0, 1, "no state has number 0"),
    FIELD(state, 3, 1, "no state has number 3"),
    FIELD(checksum, 0, 0, "checksum"),
    FIELD(data_bytes, 9999, 0, "checksum"),
    FIELD(start, 1, 0, "checksum"),
    FIELD(namespaces, 1, 0, "checksum"),
    FIELD(pid, 1, 0, "checksum"),
};

static void test_segment_header_with_a_hostile_field_is_corrupt(void **state)
{
    (void)state;
    struct fmi_segment_shm good, bad;
    fm_shm *s = t_create(t_name("field"), T_BYTES);
    t_read_header(t_name("field"), &good);
    for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
        bad = good;
        memcpy((char *)&bad + hostile[i].at, &hostile[i].value, hostile[i].n_bytes);
        if (hostile[i].is_sealed)
            fmi_segment_seal(&bad);
        t_write_header(t_name("field"), &bad);
        assert_is_none(t_name("field"), hostile[i].text);
    }
    t_write_header(t_name("field"), &good);
    assert_int_equal(t_attach(t_name("field"), 0), 0);
    t_end(s);
}

static void test_segment_header_with_any_bit_turned_is_corrupt(void **state)
{
    (void)state;
    struct fmi_segment_shm header, copy;
    const struct fmi_segment_file file = {
        .name = "bits", .bytes = 2 * 4096, .uid = geteuid(), .page_bytes = 4096};
    fmi_segment_describe(&header, 4096, 4096);
    header.state = FMI_SEGMENT_READY;
    assert_int_equal(fmi_segment_check(&file, &header, sizeof header, &copy), 0);
    for (size_t bit = 0; bit < 8 * offsetof(struct fmi_segment_shm, pad); bit++) {
        ((unsigned char *)&header)[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(fmi_segment_check(&file, &header, sizeof header, &copy), FM_ECORRUPT);
        ((unsigned char *)&header)[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

static void
test_segment_header_that_changes_later_changes_nothing_for_those_who_have_it(void **state)
{
    (void)state;
    struct fmi_segment_shm header;
    fm_shm *s = t_create(t_name("later"), T_BYTES);
    t_read_header(t_name("later"), &header);
    header.data_bytes = INT64_MAX / 2;
    header.header_bytes = 64;
    fmi_segment_seal(&header);
    t_write_header(t_name("later"), &header);
    assert_int_equal(fm_shm_bytes(s), T_BYTES);
    memset(fm_shm_data(s), 1, fm_shm_bytes(s));
    t_end(s); /* unmaps what was mapped */
}

/* ---- whose it is ---- */

static void change_header(const char *name, void (*change)(struct fmi_segment_shm *))
{
    struct fmi_segment_shm header;
    t_read_header(name, &header);
    change(&header);
    fmi_segment_seal(&header);
    t_write_header(name, &header);
}

static void assert_creator(const char *name, int creator)
{
    fm_shm_info info;
    assert_int_equal(t_find(name, &info), 1);
    assert_int_equal(info.creator, creator);
}

static void start_earlier(struct fmi_segment_shm *header)
{
    header->start--;
}

static void test_segment_of_a_process_whose_pid_is_another_ones_now_is_dead(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("reused"), 10);
    assert_creator(t_name("reused"), FM_SHM_ALIVE);
    change_header(t_name("reused"), start_earlier);
    assert_creator(t_name("reused"), FM_SHM_DEAD);
    assert_int_equal(fm_shm_remove(t_name("reused"), FM_SHM_IF_DEAD), 0);
    fm_shm_close(s);
}

static void move_elsewhere(struct fmi_segment_shm *header)
{
    header->namespaces ^= 1;
    header->pid = 0x3ffffff; /* no such process here */
}

static void test_segment_of_another_container_is_not_taken_for_dead(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("elsewhere"), 10);
    change_header(t_name("elsewhere"), move_elsewhere);
    assert_creator(t_name("elsewhere"), FM_SHM_UNKNOWN);
    assert_int_equal(fm_shm_remove(t_name("elsewhere"), FM_SHM_IF_DEAD), -EBUSY);
    t_end(s);
}

static void forget_start(struct fmi_segment_shm *header)
{
    header->start = 0;
}

static void test_segment_of_a_creator_that_proc_did_not_tell_of_is_not_taken_for_dead(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("hidden"), 10);
    change_header(t_name("hidden"), forget_start);
    assert_creator(t_name("hidden"), FM_SHM_UNKNOWN);
    assert_int_equal(fm_shm_remove(t_name("hidden"), FM_SHM_IF_DEAD), -EBUSY);
    t_end(s);
}

T_MAIN(T_TEST(test_segment_cut_to_any_length_is_corrupt),
       T_TEST(test_segment_with_bytes_behind_its_data_is_corrupt),
       T_TEST(test_segment_empty_file_is_not_ready_and_not_removed),
       T_TEST(test_segment_foreign_files_are_none),
       T_TEST(test_segment_what_is_no_regular_file_is_none),
       T_TEST(test_segment_that_others_may_open_is_none),
       T_TEST(test_segment_of_another_user_is_none),
       T_TEST(test_segment_header_with_a_hostile_field_is_corrupt),
       T_TEST(test_segment_header_with_any_bit_turned_is_corrupt),
       T_TEST(test_segment_header_that_changes_later_changes_nothing_for_those_who_have_it),
       T_TEST(test_segment_of_a_process_whose_pid_is_another_ones_now_is_dead),
       T_TEST(test_segment_of_another_container_is_not_taken_for_dead),
       T_TEST(test_segment_of_a_creator_that_proc_did_not_tell_of_is_not_taken_for_dead))
