/* SPDX-License-Identifier: MIT */
/* fm_connect(): the other side of listener.h. */
#include "clock.h"
#include "error.h"
#include "net.h"
#include "opts.h"
#include "socket_conn.h"
#include "stranger.h"

#include <errno.h>
#include <forkmap/listener.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT FM_SECONDS(20)

enum { LONGEST_KEY = 4096 };

/* A path is not enough to trust: whoever may write in its folder can listen there. */
static int check_listener(int fd, const struct fmi_net_address *a, const char *address)
{
    struct ucred who;
    if (!fmi_sys_net_is_path(a))
        return 0;
    int rc = fmi_sys_net_peer(fd, &who);
    if (rc != 0)
        return fmi_error(rc, "%s: who listens there cannot be told: %s", address, fm_strerror(rc));
    if (who.uid != geteuid() && who.uid != 0)
        return fmi_error(-EPERM, "user %u, not this one, listens at %s", who.uid, address);
    return 0;
}

/* The first of its addresses at which somebody listens. */
static int find_listener(const char *address, int64_t deadline_ns)
{
    struct fmi_net_address list[FMI_NET_ADDRESSES];
    int n = fmi_sys_net_parse(address, list), fd = n;
    for (int i = 0; i < n && (i == 0 || fd < 0) && fd != -ETIMEDOUT; i++) {
        fd = fmi_sys_net_connect(&list[i], deadline_ns);
        int rc = fd < 0 ? 0 : check_listener(fd, &list[i], address);
        if (rc != 0) {
            close(fd);
            return rc;
        }
    }
    return fd >= 0 ? fd : fmi_error(fd, "%s: %s", address, fm_strerror(fd));
}

static int show_key(int fd, const struct fmi_challenge_key *key, int64_t deadline_ns)
{
    struct fmi_stranger listener;
    int rc = fmi_stranger_greet(&listener, fd, key, FMI_CHALLENGE_CLIENT);
    while (rc == 0) {
        rc = fmi_sys_net_await(fd, 0, deadline_ns);
        if (rc == 0)
            rc = fmi_stranger_proceed(&listener, key);
    }
    return rc == 1 ? 0 : rc;
}

static int check_args(const char *address, const void *key, size_t key_bytes,
                      const fm_connect_opts *o)
{
    if (address == NULL)
        return fmi_error(-EINVAL, "the address is NULL");
    if ((key == NULL) != (key_bytes == 0) || key_bytes > LONGEST_KEY)
        return fmi_error(-EINVAL, "a key has 1 to %d bytes, not %zu; none is NULL and 0",
                         LONGEST_KEY, key_bytes);
    if ((o->flags & ~(unsigned)FM_CONNECT_NO_MD5) != 0 || o->timeout < FM_FOREVER)
        return fmi_error(-EINVAL, "unknown flags %#x, or a timeout of %lld ns", o->flags,
                         (long long)o->timeout);
    if (key == NULL && strchr(address, '/') == NULL && strchr(address, ':') != NULL)
        return fmi_error(-EINVAL, "%s: over TCP a key is required", address);
    return 0;
}

int fm_connect(const char *address, const void *authkey, size_t authkey_bytes,
               const fm_connect_opts *opts, fm_conn **c)
{
    fm_connect_opts o;
    if (c == NULL)
        return fmi_error(-EINVAL, "c is NULL");
    *c = NULL;
    int rc = fmi_opts_copy(&o, sizeof o, opts);
    if (rc == 0)
        rc = check_args(address, authkey, authkey_bytes, &o);
    if (rc != 0)
        return rc;
    const struct fmi_challenge_key key = {authkey, authkey_bytes,
                                          (o.flags & FM_CONNECT_NO_MD5) != 0};
    int64_t deadline_ns = fmi_deadline_after(o.timeout == 0 ? DEFAULT_TIMEOUT : o.timeout);
    int fd = find_listener(address, deadline_ns);
    if (fd < 0)
        return fd;
    if (authkey != NULL)
        rc = show_key(fd, &key, deadline_ns);
    if (rc == 0)
        return fmi_socket_conn_create(c, fd, o.max_frame);
    if (rc == -ETIMEDOUT)
        (void)fmi_error(rc, "%s: no answer; it may have no key, or nobody accepts", address);
    close(fd);
    return rc;
}
