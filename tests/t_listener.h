/* SPDX-License-Identifier: MIT */
#ifndef T_LISTENER_H
#define T_LISTENER_H

/* Listeners, clients, and sockets that speak the wire format by hand. */
#include "t_process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <forkmap/listener.h>
#include <forkmap/log.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define T_KEY   "a key for tests", 15
#define T_WRONG "another for tests", 17
/* What waits longer than this waits for ever. */
#define T_LOST FM_SECONDS(15)

/* ---- what the listener says ------------------------------------------------------------------------ */

struct t_lines {
    _Atomic int n;
    char last[1024];
};

static inline void t_note_line(int level, const char *message, void *arg)
{
    struct t_lines *lines = arg;
    (void)level;
    lines->n++;
    snprintf(lines->last, sizeof lines->last, "%s", message);
}

static inline void t_hear(struct t_lines *lines)
{
    *lines = (struct t_lines){0};
    t_expect(fm_log_set(0, t_note_line, lines), 0);
}

static inline void t_hear_no_more(void)
{
    t_expect(fm_log_set(0, NULL, NULL), 0);
}

/* ---- clients --------------------------------------------------------------------------------------- */

struct t_client { /* a thread that connects */
    pthread_t thread;
    const char *address, *key;
    size_t key_bytes;
    int flags, rc;
    fm_conn *c;
};

static inline void *t_connect(void *arg)
{
    struct t_client *client = arg;
    client->rc = fm_connect(client->address, client->key, client->key_bytes,
                            FM_CONNECT_OPTS(.flags = (unsigned)client->flags, .timeout = T_LOST),
                            &client->c);
    return NULL;
}

static inline void t_start_client(struct t_client *client, const char *address, const char *key,
                                  size_t key_bytes)
{
    *client = (struct t_client){.address = address, .key = key, .key_bytes = key_bytes};
    assert_int_equal(pthread_create(&client->thread, NULL, t_connect, client), 0);
}

static inline int t_join_client(struct t_client *client)
{
    assert_int_equal(pthread_join(client->thread, NULL), 0);
    return client->rc;
}

static inline fm_listener *t_listen(const char *address)
{
    fm_listener *l;
    t_expect(fm_listener_open(&l, address, T_KEY, NULL), 0);
    assert_non_null(l);
    return l;
}

struct t_two { /* both ends of a connection */
    fm_conn *here, *there;
};

static inline struct t_two t_meet(fm_listener *l)
{
    struct t_two two;
    struct t_client client;
    t_start_client(&client, fm_listener_address(l), T_KEY);
    t_expect(fm_listener_accept(l, T_LOST, &two.here), 0);
    t_expect(t_join_client(&client), 0);
    two.there = client.c;
    return two;
}

static inline void t_part(struct t_two two)
{
    t_expect(fm_conn_close(two.here), 0);
    t_expect(fm_conn_close(two.there), 0);
}

static inline void t_send_text(fm_conn *c, const char *text)
{
    t_expect(fm_conn_send(c, text, strlen(text)), 0);
}

static inline void t_expect_text(fm_conn *c, const char *text)
{
    char buf[256] = "";
    size_t bytes = 0;
    t_expect(fm_conn_recv_timed(c, buf, sizeof buf, &bytes, T_LOST), 0);
    assert_int_equal(bytes, strlen(text));
    assert_memory_equal(buf, text, bytes);
}

/* ---- by hand --------------------------------------------------------------------------------------- */

/* A socket that is connected to the listener's path or port of 127.0.0.1; -1: refused. */
static inline int t_plug(const char *address)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *colon = strrchr(address, ':');
    int is_path = strchr(address, '/') != NULL;
    int fd = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (is_path)
        snprintf(path.sun_path, sizeof path.sun_path, "%s", address);
    else
        here.sin_port = htons((uint16_t)atoi(colon + 1));
    if (connect(fd, is_path ? (void *)&path : (void *)&here, is_path ? sizeof path : sizeof here) ==
        0)
        return fd;
    close(fd);
    return -1;
}

static inline void t_write(int fd, const void *bytes, size_t n)
{
    assert_int_equal(send(fd, bytes, n, MSG_NOSIGNAL), n);
}

static inline void t_write_frame(int fd, const void *bytes, size_t n)
{
    uint8_t frame[1024] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
    memcpy(frame + 4, bytes, n);
    t_write(fd, frame, n + 4);
}

/* A short frame's body; returns its length, or -1 at the end of the stream. */
static inline int t_read_frame(int fd, uint8_t body[1024])
{
    uint8_t head[4];
    if (recv(fd, head, 4, MSG_WAITALL) != 4)
        return -1;
    int n = head[2] << 8 | head[3];
    assert_int_equal(head[0] << 8 | head[1], 0);
    assert_true(n <= 1024);
    return recv(fd, body, (size_t)n, MSG_WAITALL) == n ? n : -1;
}

#endif
