/* SPDX-License-Identifier: MIT */
/* Boost.Interprocess message_queue as an engine of the queue benchmark. */
#include "queue.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <cerrno>
#include <string>
#include <unistd.h>

namespace ipc = boost::interprocess;

/* Its name is free again at once: those who use it are forked. */
int bench_boost_open(void **queue, size_t capacity, size_t bytes)
{
    const std::string name = "forkmap-bench-" + std::to_string(getpid());
    try {
        *queue = new ipc::message_queue(ipc::create_only, name.c_str(), capacity, bytes);
        ipc::message_queue::remove(name.c_str());
        return 0;
    } catch (const std::exception &) {
        ipc::message_queue::remove(name.c_str());
        return -ENOMEM;
    }
}

int bench_boost_put(void *queue, const char *buf, size_t bytes)
{
    try {
        static_cast<ipc::message_queue *>(queue)->send(buf, bytes, 0);
        return 0;
    } catch (const std::exception &) {
        return -EIO;
    }
}

int bench_boost_get(void *queue, char *buf, size_t bytes)
{
    ipc::message_queue::size_type received;
    unsigned priority;
    try {
        static_cast<ipc::message_queue *>(queue)->receive(buf, bytes, received, priority);
        return received == bytes ? 0 : -EPROTO;
    } catch (const std::exception &) {
        return -EIO;
    }
}

void bench_boost_close(void *queue)
{
    delete static_cast<ipc::message_queue *>(queue);
}
