/* SPDX-License-Identifier: MIT */
/* Redis as a peer of the manager benchmark: a server of Debian's, without files and without TCP, and hiredis. */
#include "manager.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_MS = 5000 };
static pid_t server;

static _Noreturn void become_server(const char *path)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (freopen("/dev/null", "w", stdout) != NULL)
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", path,
               "--unixsocketperm", "600", "--save", "", "--appendonly", "no", (char *)NULL);
    _exit(127);
}

int bench_redis_start(const char *path)
{
    struct stat file;
    int status;
    server = fork();
    if (server == 0)
        become_server(path);
    for (int ms = 0; server > 0 && ms < START_MS; ms++) {
        if (stat(path, &file) == 0)
            return 0;
        if (waitpid(server, &status, WNOHANG) == server)
            return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EPROTO;
        usleep(1000);
    }
    return server < 0 ? -errno : -ETIMEDOUT;
}

void bench_redis_end(void)
{
    kill(server, SIGTERM); /* removes its path */
    waitpid(server, NULL, 0);
}

int bench_redis_connect(void **client, const char *path)
{
    redisContext *context = redisConnectUnix(path);
    *client = context;
    return context != NULL && context->err == 0 ? 0 : -ECONNREFUSED;
}

int bench_redis_set(void *client, const char *key, const char *value)
{
    redisReply *reply = redisCommand(client, "SET %b %b", key, (size_t)BENCH_MANAGER_BYTES, value,
                                     (size_t)BENCH_MANAGER_BYTES);
    int code = reply != NULL && reply->type == REDIS_REPLY_STATUS ? 0 : -EPROTO;
    freeReplyObject(reply);
    return code;
}

int bench_redis_get(void *client, const char *key, char *value)
{
    redisReply *reply = redisCommand(client, "GET %b", key, (size_t)BENCH_MANAGER_BYTES);
    int is_there =
        reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len == BENCH_MANAGER_BYTES;
    if (is_there)
        memcpy(value, reply->str, BENCH_MANAGER_BYTES);
    freeReplyObject(reply);
    return is_there ? 0 : -EPROTO;
}
