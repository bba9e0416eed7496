/* SPDX-License-Identifier: MIT */
/*
 * A program of no family, for the tests of managers. It knows the public headers only.
 *
 *   manager_guest sum ADDRESS KEY ARRAY        leaves with 0 if element i of an array of f8 is i, and the memory was mapped; prints minor faults, and bytes on sockets
 *   manager_guest own-heap ADDRESS KEY NAME    has a heap of its own first: pointers must be refused, calls go on
 *   manager_guest hold ADDRESS KEY LOCK        maps, acquires the lock, prints a line, and waits until its stdin ends
 *   manager_guest hold-by-call ADDRESS KEY LOCK   the same by calls only
 *   manager_guest count ADDRESS KEY DICT N     adds 1 to key n of a dict, N times
 *   manager_guest storm ADDRESS KEY DICT       sets and takes out keys for ever
 *
 * Exit codes: 0; 1 what it found is not what it should be; 2 wrong words; 3 what stderr says.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The library's calls on sockets come by here: a program's own functions go before those of libc. */
static long n_socket_bytes;

static ssize_t counted(long bytes)
{
    if (bytes > 0)
        n_socket_bytes += bytes;
    return bytes;
}

FM_API ssize_t recv(int fd, void *buf, size_t n, int flags)
{
    return counted(syscall(SYS_recvfrom, fd, buf, n, flags, NULL, NULL));
}

FM_API ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return counted(syscall(SYS_sendmsg, fd, message, flags));
}

FM_API ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    return counted(syscall(SYS_recvmsg, fd, message, flags));
}

static int fail(int code)
{
    fprintf(stderr, "%s: %s\n", fm_errname(code), fm_error_detail());
    return 3;
}

static long minor_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static int sum(fm_manager *m, const char *name)
{
    fm_array *a;
    if (fm_manager_is_here(m) != 1)
        return fail(FM_EREMOTE);
    int rc = fm_manager_get(m, name, (void **)&a);
    if (rc != 0)
        return fail(rc);
    const double *data = fm_array_data(a);
    const int64_t n = fm_array_count(a);
    const long before = minor_faults();
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < n; i++)
        n_wrong += data[i] != (double)i;
    printf("%ld %ld\n", minor_faults() - before, n_socket_bytes);
    return n_wrong != 0;
}

static int use_by_call(fm_manager *m, const char *name)
{
    void *none;
    const fm_bytes pair[] = {fm_text("k"), fm_text("v")};
    fm_snapshot *reply;
    if (fm_manager_is_here(m) != 0 || strstr(fm_error_detail(), "of its own") == NULL)
        return 1;
    if (fm_manager_get(m, name, &none) != FM_EREMOTE || none != NULL)
        return 1;
    int rc = fm_manager_call(m, name, "set", pair, 2, NULL, FM_FOREVER);
    if (rc == 0)
        rc = fm_manager_call(m, name, "get", pair, 1, &reply, FM_FOREVER);
    if (rc != 0)
        return fail(rc);
    rc = reply->n != 1 || strcmp(reply->values[0].data, "v") != 0;
    fm_snapshot_free(reply);
    return rc;
}

static int wait_for_the_end(void)
{
    printf("here\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static int hold(fm_manager *m, const char *name, int is_by_call)
{
    fm_lock *lock;
    if (fm_manager_is_here(m) != !is_by_call)
        return fail(FM_EREMOTE);
    int rc = 0;
    if (is_by_call)
        rc = fm_manager_call(m, name, "acquire", NULL, 0, NULL, FM_SECONDS(10));
    else if ((rc = fm_manager_get(m, name, (void **)&lock)) == 0)
        rc = fm_lock_acquire(lock, FM_SECONDS(10));
    return rc != 0 ? fail(rc) : wait_for_the_end();
}

static int count(fm_manager *m, const char *name, long n)
{
    fm_dict *d;
    int rc = fm_manager_get(m, name, (void **)&d);
    for (long i = 0; i < n && rc == 0; i++)
        rc = fm_dict_add(d, fm_text("n"), 1, NULL, FM_FOREVER);
    return rc != 0 ? fail(rc) : 0;
}

static int storm(fm_manager *m, const char *name)
{
    static char value[100000];
    fm_dict *d;
    int rc = fm_manager_get(m, name, (void **)&d);
    printf("here\n");
    fflush(stdout);
    for (int i = 0; rc == 0; i++) {
        char key[16];
        snprintf(key, sizeof key, "%d", i % 7);
        rc = fm_dict_set(d, fm_text(key), fm_bytes_of(value, (size_t)(i * 977) % sizeof value),
                         FM_FOREVER);
        if (rc == 0 && i % 3 == 0)
            rc = fm_dict_delete(d, fm_text(key), FM_FOREVER);
    }
    return fail(rc);
}

static int run(fm_manager *m, char **argv)
{
    if (strcmp(argv[1], "sum") == 0)
        return sum(m, argv[4]);
    if (strcmp(argv[1], "own-heap") == 0)
        return use_by_call(m, argv[4]);
    if (strcmp(argv[1], "hold") == 0)
        return hold(m, argv[4], 0);
    if (strcmp(argv[1], "hold-by-call") == 0)
        return hold(m, argv[4], 1);
    if (strcmp(argv[1], "storm") == 0)
        return storm(m, argv[4]);
    return argv[5] == NULL ? 2 : count(m, argv[4], atol(argv[5]));
}

int main(int argc, char **argv)
{
    fm_manager *m;
    fm_lock *own = NULL;
    if (argc < 5)
        return 2;
    if (strcmp(argv[1], "own-heap") == 0 && fm_lock_create(&own) != 0)
        return 3;
    const unsigned flags = strcmp(argv[1], "hold-by-call") == 0 ? FM_MANAGER_NO_MAP : 0;
    int rc = fm_manager_connect(&m, argv[2], argv[3], strlen(argv[3]),
                                FM_MANAGER_CONNECT_OPTS(.flags = flags));
    if (rc != 0)
        return fail(rc);
    rc = run(m, argv);
    (void)fm_manager_close(m);
    fm_lock_destroy(own);
    return rc;
}
