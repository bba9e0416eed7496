/* SPDX-License-Identifier: MIT */
/*
 * Programs that did not fork from each other: the program of Python's manual, where one listens and the other connects.
 *
 *     with Listener(('localhost', 6000), authkey=b'secret password') as listener:       with Client(('localhost', 6000), authkey=b'secret password') as conn:
 *         with listener.accept() as conn:                                                   print(conn.recv_bytes())
 *             conn.send_bytes(b'hello')                                                     arr = array('i', [0, 0, 0, 0, 0])
 *             conn.send_bytes(array('i', [42, 1729]))                                       print(conn.recv_bytes_into(arr))
 *                                                                                           print(arr)
 *
 * Either may be the Python one: listener_client listen ADDRESS, listener_client connect ADDRESS. Without arguments it does both by itself, and shows what a wrong key gets.
 */
#include <forkmap/forkmap.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const char password[] = "secret password";

/* ---- the listener ------------------------------------------------------------------------------ */

static int serve(fm_listener *listener, int n_clients)
{
    static const int numbers[] = {42, 1729};
    int rc = 0;
    for (int i = 0; rc == 0 && i < n_clients; i++) {
        FM_AUTO(fm_conn) conn = NULL;
        rc = fm_listener_accept(listener, FM_SECONDS(30), &conn);
        if (rc == 0)
            rc = fm_conn_send(conn, "hello", 5);
        if (rc == 0)
            rc = fm_conn_send(conn, numbers, sizeof numbers);
    }
    return rc;
}

static int listen_at(const char *address)
{
    FM_AUTO(fm_listener) listener = NULL;
    int rc = fm_listener_open(&listener, address, password, strlen(password), NULL);
    if (rc != 0)
        return rc;
    printf("listening at %s\n", fm_listener_address(listener));
    fflush(stdout);
    rc = serve(listener, 1);
    if (rc == 0)
        printf("connection accepted from %s\n", fm_listener_last_accepted(listener));
    return rc;
}

/* ---- the client -------------------------------------------------------------------------------- */

static int connect_to(const char *address)
{
    FM_AUTO(fm_conn) conn = NULL;
    char text[16];
    int numbers[5] = {0};
    size_t bytes = 0;
    int rc = fm_connect(address, password, strlen(password), NULL, &conn);
    if (rc == 0)
        rc = fm_conn_recv(conn, text, sizeof text, &bytes);
    if (rc == 0)
        printf("%.*s\n", (int)bytes, text);
    if (rc == 0)
        rc = fm_conn_recv(conn, numbers, sizeof numbers, &bytes);
    if (rc == 0)
        printf("%zu bytes: %d %d %d\n", bytes, numbers[0], numbers[1], numbers[2]);
    return rc;
}

/* ---- both -------------------------------------------------------------------------------------- */

static void *serve_two(void *listener)
{
    return (void *)(intptr_t)serve(listener, 2);
}

static char said[256]; /* by the library, about whom it refused */

static void note_line(int level, const char *message, void *arg)
{
    const char *what = strstr(message, "was refused");
    (void)level;
    (void)arg;
    snprintf(said, sizeof said, "%s", what != NULL ? what : message);
}

static int do_both(void)
{
    FM_AUTO(fm_listener) listener = NULL;
    fm_conn *none;
    pthread_t thread;
    void *served = NULL;
    int rc = fm_log_set(0, note_line, NULL);
    if (rc == 0) /* a path of its own */
        rc = fm_listener_open(&listener, NULL, password, strlen(password), NULL);
    if (rc == 0 && pthread_create(&thread, NULL, serve_two, listener) != 0)
        rc = -EAGAIN;
    if (rc != 0)
        return rc;
    const char *address = fm_listener_address(listener);
    rc = connect_to(address);
    if (rc == 0)
        printf("with a wrong key: %s\n",
               fm_errname(fm_connect(address, "guessed", 7, NULL, &none)));
    if (rc == 0)
        rc = connect_to(address);
    pthread_join(thread, &served);
    printf("and the listener says: a client %s\n", said);
    return rc != 0 ? rc : (int)(intptr_t)served;
}

int main(int argc, char **argv)
{
    int rc = -EINVAL;
    if (argc == 1)
        rc = do_both();
    else if (argc == 3 && strcmp(argv[1], "listen") == 0)
        rc = listen_at(argv[2]);
    else if (argc == 3 && strcmp(argv[1], "connect") == 0)
        rc = connect_to(argv[2]);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    return rc != 0;
}
