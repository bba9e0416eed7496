/* SPDX-License-Identifier: MIT */
/* The heap for programs of no family; see attach.h. */
#include "attach.h"

#include "error.h"
#include "heap.h"
#include "manager.h"
#include "memory.h"
#include "process.h"
#include "socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_guest; /* private; forked children inherit it, who are guests, too */
static const size_t least_bytes = 1 << 20;

void fmi_attach_own_heap(char text[FMI_ATTACH_HEAP_TEXT])
{
    struct fmi_heap_usage usage;
    struct fmi_heap_place place;
    struct stat file;
    text[0] = '\0';
    fmi_heap_usage(&usage);
    if (usage.limit_bytes == 0)
        return;
    /* one that has closed the heap's descriptor has a heap all the same, and cannot say which */
    if (fmi_heap_place(&place) == 0 && fstat(place.fd, &file) == 0)
        snprintf(text, FMI_ATTACH_HEAP_TEXT, "%" PRIx64 ":%" PRIx64, (uint64_t)file.st_dev,
                 (uint64_t)file.st_ino);
    else
        snprintf(text, FMI_ATTACH_HEAP_TEXT, "?");
}

int fmi_attach_is_guest(void)
{
    return is_guest;
}

int fmi_attach_send(int socket, const void *manager, uint64_t number)
{
    struct fmi_heap_place place;
    int rc = fmi_heap_place(&place);
    if (rc != 0)
        return rc;
    const struct fmi_attach_offer offer = {.base = (uintptr_t)place.base,
                                           .bytes = place.bytes,
                                           .manager = (uintptr_t)manager,
                                           .number = number};
    rc = fmi_sys_socket_send(socket, &offer, sizeof offer, &place.fd, 1);
    return rc == 0 ? 0 : fmi_error(FM_ECLOSED, "the client has gone: %s", fm_strerror(rc));
}

static int is_sound(const struct fmi_attach_offer *offer)
{
    return offer->base % 4096 == 0 && offer->base != 0 && offer->bytes >= least_bytes &&
           offer->base < (UINT64_C(1) << 56) && offer->bytes < (UINT64_C(1) << 48) &&
           offer->manager >= offer->base &&
           offer->manager - offer->base <= offer->bytes - sizeof(struct fmi_manager_shm);
}

/* What was mapped cannot be given back: whatever is found there then, this process has a heap now. */
static int map(int fd, const struct fmi_attach_offer *offer, void **manager)
{
    const struct fmi_heap_place place = {
        .fd = fd, .base = (char *)(uintptr_t)offer->base, .bytes = offer->bytes};
    char own[FMI_ATTACH_HEAP_TEXT];
    fmi_attach_own_heap(own);
    int rc = 0;
    if (!fmi_sys_shm_is_own(fd, place.bytes))
        rc = fmi_error(FM_EFORMAT, "what the manager's server gave is no heap of this user");
    else if (own[0] == '\0')
        rc = fmi_heap_attach(&place);
    if (rc != 0 || own[0] != '\0') /* the server has seen that it is the same one */
        close(fd);
    if (rc != 0)
        return rc;
    is_guest |= own[0] == '\0';
    struct fmi_manager_shm *m = (struct fmi_manager_shm *)(uintptr_t)offer->manager;
    if (!fmi_heap_contains(m, sizeof *m) ||
        atomic_load_explicit(&m->mark, memory_order_acquire) != FMI_MANAGER_LIVE ||
        m->number != offer->number)
        return fmi_error(FM_ECORRUPT, "no manager lies where the server says");
    *manager = m;
    return 0;
}

int fmi_attach_receive(int socket, int64_t deadline_ns, void **manager)
{
    struct fmi_attach_offer offer;
    int fds[FMI_SOCKET_FDS], n_fds;
    *manager = NULL;
    int rc = fmi_sys_socket_receive(socket, &offer, sizeof offer, fds, &n_fds, deadline_ns);
    if (rc != 0)
        return rc == -ETIMEDOUT
                   ? rc
                   : fmi_error(FM_ECLOSED, "the heap did not come: %s", fm_strerror(rc));
    if (n_fds == 1 && is_sound(&offer))
        return map(fds[0], &offer, manager);
    for (int i = 0; i < n_fds; i++)
        close(fds[i]);
    rc = fmi_error(FM_EFORMAT, "what the manager's server sent is no heap");
    return rc;
}
