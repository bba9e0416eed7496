/* SPDX-License-Identifier: MIT */
/* Listeners; see listener.h. */
#include "listener.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "memory.h"
#include "message.h"
#include "opts.h"
#include "process.h"
#include "socket_conn.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUTH_TIMEOUT FM_SECONDS(5)
#define LIMIT_NS     FM_SECONDS(1)

enum {
    LONGEST_KEY = 4096,
    STRANGERS = 1024,
    MOST_STRANGERS = 1 << 20,
    LINES = 16,    /* of the log, in LIMIT_NS */
    AT_A_TIME = 16 /* connections taken from the queue before the others get their turn */
};

/* ---- who is refused -------------------------------------------------------------------------------- */

static const char *name_of(const struct fmi_place *p, char text[FMI_NET_TEXT_BYTES])
{
    fmi_sys_net_text(&p->peer, text);
    return text[0] != '\0' ? text : "a client";
}

/* 1: there may be another line. */
static int may_say(fm_listener *l, int64_t now_ns)
{
    struct fmi_log_limit *limit = &l->limit;
    if (now_ns - limit->since_ns >= LIMIT_NS) {
        if (limit->n_unsaid > 0)
            fmi_log(FM_LOG_WARNING, "listener %s: %u more were refused", l->text, limit->n_unsaid);
        *limit = (struct fmi_log_limit){.since_ns = now_ns};
    }
    if (limit->n_said < LINES)
        return (int)++limit->n_said;
    limit->n_unsaid++;
    return 0;
}

static void say(fm_listener *l, const struct fmi_place *p, const char *why)
{
    char who[FMI_NET_TEXT_BYTES];
    if (may_say(l, fmi_now_ns()))
        fmi_log(FM_LOG_WARNING, "listener %s: %s was refused: %s", l->text, name_of(p, who), why);
}

/* ---- places ---------------------------------------------------------------------------------------- */

static void take_out(fm_listener *l, struct fmi_place *p)
{
    *(p->older != NULL ? &p->older->newer : &l->oldest) = p->newer;
    *(p->newer != NULL ? &p->newer->older : &l->newest) = p->older;
    p->newer = l->free;
    l->free = p;
    l->n_waiting--;
    fmi_sys_net_unwatch(l->poller, p->stranger.fd);
}

static void put_in(fm_listener *l, struct fmi_place *p)
{
    l->free = p->newer;
    p->newer = NULL;
    p->older = l->newest;
    *(l->newest != NULL ? &l->newest->newer : &l->oldest) = p;
    l->newest = p;
    l->n_waiting++;
}

static void drop(fm_listener *l, struct fmi_place *p)
{
    int fd = p->stranger.fd;
    FMI_FAULT("listener.drop");
    take_out(l, p);
    fmi_sys_net_end(fd);
    close(fd);
}

static void drop_late(fm_listener *l, int64_t now_ns)
{
    while (l->oldest != NULL && l->oldest->come_ns <= now_ns - l->opts.auth_timeout) {
        say(l, l->oldest, "it did not show a key in time");
        drop(l, l->oldest);
    }
}

/* A free place; the oldest stranger's, if there is no other. */
static struct fmi_place *find_place(fm_listener *l)
{
    if (l->n_waiting == l->opts.max_strangers) {
        say(l, l->oldest, "too many who have shown no key; it was the first of them");
        drop(l, l->oldest);
    }
    return l->free;
}

/* ---- one stranger ---------------------------------------------------------------------------------- */

/* 0; -EPERM: of another user. Where the kernel does not tell, the key decides. */
static int check_user(const struct fmi_place *p, int fd)
{
    struct ucred who;
    if (p->peer.at.ss_family != AF_UNIX)
        return 0;
    int rc = fmi_sys_net_peer(fd, &who);
    if (rc != 0)
        return fmi_error(rc, "who it is cannot be told: %s", fm_strerror(rc));
    if (who.uid != geteuid() && who.uid != 0)
        return fmi_error(-EPERM, "it is process %d of user %u", (int)who.pid, who.uid);
    return 0;
}

/* The key is right, or none is asked for. */
static int become_conn(fm_listener *l, struct fmi_place *p, int fd, fm_conn **c)
{
    FMI_FAULT("listener.accept");
    fmi_sys_net_text(&p->peer, l->last);
    int rc = fmi_socket_conn_create(c, fd, l->opts.max_frame);
    return rc != 0 ? rc : 1;
}

/* 0: it waits, or was refused; 1: accepted. */
static int welcome(fm_listener *l, struct fmi_place *p, int fd, fm_conn **c)
{
    int rc = check_user(p, fd);
    if (rc == 0 && l->key.n == 0)
        return become_conn(l, p, fd, c);
    if (rc == 0)
        rc = fmi_stranger_greet(&p->stranger, fd, &l->key, FMI_CHALLENGE_LISTENER);
    if (rc == 0)
        rc = fmi_sys_net_watch(l->poller, fd, p);
    if (rc != 0) {
        say(l, p, fm_error_detail());
        fmi_sys_net_end(fd);
        close(fd);
        return 0;
    }
    p->come_ns = fmi_now_ns();
    put_in(l, p);
    return 0;
}

/* As welcome(); -EMFILE ... */
static int take_stranger(fm_listener *l, struct fmi_place *p, fm_conn **c)
{
    int rc = fmi_stranger_proceed(&p->stranger, &l->key);
    if (rc == 0)
        return 0;
    if (rc == 1) {
        int fd = p->stranger.fd;
        take_out(l, p);
        return become_conn(l, p, fd, c);
    }
    say(l, p, fm_error_detail());
    drop(l, p);
    return 0;
}

/* Those who stand in the queue. */
static int take_new(fm_listener *l, fm_conn **c)
{
    for (int i = 0; i < AT_A_TIME; i++) {
        struct fmi_net_address peer;
        int fd = fmi_sys_net_accept(l->fd, &peer);
        int is_full = fd == -EMFILE || fd == -ENFILE; /* which the kernel says before it looks */
        if (is_full && fmi_sys_net_await(l->fd, 0, FMI_AT_ONCE) != 0)
            return 0;
        if (is_full && l->oldest != NULL) {
            say(l, l->oldest, "no descriptor was free, and it had shown no key");
            drop(l, l->oldest);
            continue;
        }
        if (is_full || fd == -ENOMEM || fd == -ENOBUFS)
            return fmi_error(fd, "listener %s: accept: %s", l->text, fm_strerror(fd));
        if (fd < 0) /* none; or one that is gone already */
            return 0;
        struct fmi_place *p = find_place(l);
        p->peer = peer;
        int rc = welcome(l, p, fd, c);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- accepting ------------------------------------------------------------------------------------- */

/* About one turn for each. 1: accepted; 0: none is, so far. */
static int take_turn(fm_listener *l, fm_conn **c)
{
    void *who;
    for (int i = l->n_waiting; i >= 0 && (who = fmi_sys_net_next(l->poller)) != NULL; i--) {
        int rc = who == l ? take_new(l, c) : take_stranger(l, who, c);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int accept_until(fm_listener *l, int64_t deadline_ns, fm_conn **c)
{
    for (;;) {
        int rc = take_turn(l, c);
        if (rc != 0)
            return rc == 1 ? 0 : rc;
        int64_t now_ns = fmi_now_ns();
        drop_late(l, now_ns); /* after the turn: what has come counts */
        if (deadline_ns <= now_ns)
            return -ETIMEDOUT;
        int64_t late_ns = l->oldest == NULL ? FMI_NEVER : l->oldest->come_ns + l->opts.auth_timeout;
        rc = fmi_sys_net_await(l->poller, 0, late_ns < deadline_ns ? late_ns : deadline_ns);
        if (rc != 0 && rc != -ETIMEDOUT)
            return rc;
    }
}

int fm_listener_accept(fm_listener *l, int64_t timeout, fm_conn **c)
{
    int64_t deadline_ns = fmi_deadline_of(timeout);
    if (c != NULL)
        *c = NULL;
    if (l == NULL || c == NULL)
        return fmi_error(-EINVAL, "the listener, or where the connection is to go, is NULL");
    if (l->pid != getpid())
        return fmi_error(FM_EFORKED, "listener %s belongs to process %d", l->text, l->pid);
    int rc = fmi_forklock_acquire_until(&l->lock, deadline_ns);
    if (rc != 0)
        return rc;
    int64_t away_ns = fmi_now_ns() - l->left_ns;
    for (struct fmi_place *p = l->oldest; p != NULL; p = p->newer)
        p->come_ns += away_ns;
    rc = accept_until(l, deadline_ns, c);
    l->left_ns = fmi_now_ns();
    fmi_forklock_release(&l->lock);
    return rc;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static int check_args(const char *address, const void *key, size_t key_bytes,
                      const fm_listener_opts *o)
{
    if ((key == NULL) != (key_bytes == 0) || key_bytes > LONGEST_KEY)
        return fmi_error(-EINVAL, "a key has 1 to %d bytes, not %zu; none is NULL and 0",
                         LONGEST_KEY, key_bytes);
    if ((o->flags & ~(unsigned)FM_LISTEN_NO_MD5) != 0)
        return fmi_error(-EINVAL, "unknown flags %#x", o->flags);
    if (o->max_strangers < 0 || o->max_strangers > MOST_STRANGERS || o->auth_timeout < 0)
        return fmi_error(-EINVAL, "max_strangers %d is not in 0 .. %d, or auth_timeout %lld ns < 0",
                         o->max_strangers, MOST_STRANGERS, (long long)o->auth_timeout);
    if (key == NULL && address != NULL && strchr(address, '/') == NULL &&
        strchr(address, ':') != NULL)
        return fmi_error(-EINVAL, "%s: over TCP a key is required", address);
    return 0;
}

static int make_places(fm_listener *l)
{
    size_t n = (size_t)l->opts.max_strangers;
    l->places = calloc(n, sizeof *l->places);
    if (l->places == NULL)
        return fmi_error(-ENOMEM, "no memory for %zu strangers", n);
    for (size_t i = 0; i < n; i++)
        l->places[i].newer = i + 1 < n ? &l->places[i + 1] : NULL;
    l->free = l->places;
    return 0;
}

static int copy_key(fm_listener *l, const void *key, size_t bytes)
{
    if (bytes == 0)
        return 0;
    l->key_page = fmi_sys_map_wiped_on_fork();
    if (l->key_page == NULL)
        return fmi_error(-ENOMEM, "no memory for a key");
    memcpy(l->key_page, key, bytes);
    l->key =
        (struct fmi_challenge_key){l->key_page, bytes, (l->opts.flags & FM_LISTEN_NO_MD5) != 0};
    return 0;
}

/* A path in a new folder that only this user may enter. */
static int choose_path(fm_listener *l, char path[FMI_NET_TEXT_BYTES])
{
    const char *where = getenv("TMPDIR");
    if (where == NULL || where[0] != '/' || strlen(where) > FMI_NET_PATH / 2)
        where = "/tmp";
    snprintf(l->folder, sizeof l->folder, "%.64s/forkmap-XXXXXX", where);
    if (mkdtemp(l->folder) == NULL) { /* mode 0700 */
        int rc = -errno;
        l->folder[0] = '\0';
        return fmi_error(rc, "no folder for a socket in %s: %s", where, fm_strerror(rc));
    }
    snprintf(path, FMI_NET_TEXT_BYTES, "%.100s/socket", l->folder);
    return 0;
}

static int explain_bind(int rc, const struct fmi_net_address *a, const char *address)
{
    if (rc == -EADDRINUSE && fmi_sys_net_is_stale(a))
        return fmi_error(
            rc, "%s: a listener that ended without closing has left it; remove the file", address);
    return fmi_error(rc, "%s: %s", address, fm_strerror(rc));
}

static int begin_to_listen(fm_listener *l, const char *address)
{
    struct fmi_net_address list[FMI_NET_ADDRESSES];
    char chosen[FMI_NET_TEXT_BYTES];
    struct stat file;
    int rc = 0;
    if (address == NULL) {
        rc = choose_path(l, chosen);
        address = chosen;
    }
    if (rc != 0)
        return rc;
    rc = fmi_sys_net_parse(address, list);
    if (rc < 0)
        return fmi_error(rc, "%.200s is no address: %s", address, fm_strerror(rc));
    l->fd = fmi_sys_net_listen(&list[0], &l->address);
    if (l->fd < 0)
        return explain_bind(l->fd, &list[0], address);
    fmi_sys_net_text(&l->address, l->text);
    if (fmi_sys_net_is_path(&l->address) && stat(l->text, &file) == 0) {
        l->device = file.st_dev;
        l->inode = file.st_ino;
    }
    l->poller = fmi_sys_net_poller();
    rc = l->poller < 0 ? l->poller : fmi_sys_net_watch(l->poller, l->fd, l);
    return rc != 0 ? fmi_error(rc, "%s: epoll: %s", address, fm_strerror(rc)) : 0;
}

int fm_listener_open(fm_listener **out, const char *address, const void *authkey,
                     size_t authkey_bytes, const fm_listener_opts *opts)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "l is NULL");
    *out = NULL;
    fm_listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return fmi_error(-ENOMEM, "no memory for a listener");
    l->pid = getpid();
    l->fd = l->poller = -1;
    l->lock = (struct fmi_forklock)FMI_FORKLOCK;
    int rc = fmi_opts_copy(&l->opts, sizeof l->opts, opts);
    if (rc == 0)
        rc = check_args(address, authkey, authkey_bytes, &l->opts);
    if (l->opts.max_strangers == 0)
        l->opts.max_strangers = STRANGERS;
    if (l->opts.auth_timeout == 0)
        l->opts.auth_timeout = AUTH_TIMEOUT;
    if (rc == 0)
        rc = make_places(l);
    if (rc == 0)
        rc = copy_key(l, authkey, authkey_bytes);
    if (rc == 0)
        rc = begin_to_listen(l, address);
    if (rc != 0) {
        (void)fm_listener_close(l);
        return rc;
    }
    l->left_ns = fmi_now_ns();
    *out = l;
    return 0;
}

const char *fm_listener_address(const fm_listener *l)
{
    return l == NULL ? "" : l->text;
}

const char *fm_listener_last_accepted(const fm_listener *l)
{
    return l == NULL ? "" : l->last;
}

int fm_listener_fileno(fm_listener *l)
{
    if (l == NULL)
        return fmi_error(-EINVAL, "the listener is NULL");
    if (l->pid != getpid())
        return fmi_error(FM_EFORKED, "listener %s belongs to process %d", l->text, l->pid);
    return l->poller;
}

/* The file, if it is still ours: another may have been put in its place. */
static void remove_path(const fm_listener *l)
{
    struct stat file;
    if (l->inode != 0 && lstat(l->text, &file) == 0 && file.st_dev == l->device &&
        file.st_ino == l->inode)
        unlink(l->text);
    if (l->folder[0] != '\0')
        rmdir(l->folder);
}

int fm_listener_close(fm_listener *l)
{
    if (l == NULL)
        return 0;
    int is_ours = l->pid == getpid();
    if (is_ours)
        remove_path(l);
    while (l->oldest != NULL && is_ours)
        drop(l, l->oldest);
    for (struct fmi_place *p = l->oldest; p != NULL; p = p->newer)
        close(p->stranger.fd);
    if (l->fd >= 0)
        close(l->fd);
    if (l->poller >= 0)
        close(l->poller);
    if (l->key_page != NULL) {
        explicit_bzero(l->key_page, fmi_sys_page_bytes());
        fmi_sys_unmap(l->key_page, fmi_sys_page_bytes());
    }
    free(l->places);
    free(l);
    return 0;
}
