/* SPDX-License-Identifier: MIT */
#ifndef T_SEGMENT_H
#define T_SEGMENT_H

/* What the tests of named segments share. Names have the test's pid in them: /dev/shm is everybody's. */

#include "t.h"

#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <forkmap/forkmap.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { T_BYTES = 10000, T_NOT_ALLOWED = 77 };

/* For children, which may not use cmocka's assertions. */
#define EXPECT(condition) ((condition) ? (void)0 : t_say_and_exit(__LINE__, #condition))

static inline _Noreturn void t_say_and_exit(int line, const char *what)
{
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, fm_error_detail());
    _exit(1);
}

static inline void t_run_in_child(void (*fn)(void *), void *arg)
{
    int status = t_in_child(fn, arg);
    if (t_exit_code(status) == T_NOT_ALLOWED)
        t_skip("the right to mount a small /dev/shm, or to be another user (root)");
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* Children mean their parent's segments. */
static int t_segment_pid;
__attribute__((constructor)) static void t_note_segment_pid(void)
{
    t_segment_pid = getpid();
}

/* A name that only this test process has. */
static inline const char *t_name(const char *what)
{
    static char names[4][64];
    static unsigned next;
    char *name = names[next++ % 4];
    snprintf(name, sizeof names[0], "t_segment_%d_%s", t_segment_pid, what);
    return name;
}

static inline const char *t_path(const char *name)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "/dev/shm/%s", name);
    return path;
}

static inline fm_shm *t_create(const char *name, size_t bytes)
{
    fm_shm *s;
    int rc = fm_shm_create(&s, name, bytes, NULL);
    if (rc != 0)
        fail_msg("%s: %s", fm_strerror(rc), fm_error_detail());
    return s;
}

/* What attach says; whatever it attaches is closed again. */
static inline int t_attach(const char *name, unsigned flags)
{
    fm_shm *s = (fm_shm *)&s;
    int rc = fm_shm_attach(&s, name, FM_SHM_OPTS(.flags = flags));
    if ((rc == 0) != (s != NULL))
        return 1;
    fm_shm_close(s);
    return rc;
}

static inline void t_end(fm_shm *s)
{
    assert_int_equal(fm_shm_unlink(s), 0);
    fm_shm_close(s);
}

/* What the list says of a name; 0 if it is not in it. */
static inline int t_find(const char *name, fm_shm_info *out)
{
    int n = fm_shm_list(NULL, 0), is_found = 0;
    *out = (fm_shm_info){.pid = -1};
    if (n < 0)
        return n;
    n += 16; /* others' may come */
    fm_shm_info *list = calloc((size_t)n, sizeof *list);
    int now = list == NULL ? 0 : fm_shm_list(list, n);
    for (int i = 0; i < now && i < n; i++)
        if (strcmp(list[i].name, name) == 0) {
            *out = list[i];
            is_found = 1;
        }
    free(list);
    return is_found;
}

static inline void t_read_header(const char *name, struct fmi_segment_shm *header)
{
    int fd = open(t_path(name), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, header, sizeof *header) == sizeof *header);
    close(fd);
}

static inline void t_write_header(const char *name, const struct fmi_segment_shm *header)
{
    int fd = open(t_path(name), O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && write(fd, header, sizeof *header) == sizeof *header);
    close(fd);
}

#endif
