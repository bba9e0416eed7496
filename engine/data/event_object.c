/* SPDX-License-Identifier: MIT */
/* The event that programs see: one of event.h behind the head of an object. */
#include "clock.h"
#include "event.h"
#include "object.h"

#include <forkmap/sync.h>

struct fm_event {
    struct fmi_object_shm object;
    struct fmi_event_shm event;
};
static_assert(sizeof(struct fm_event) <= FM_EVENT_BYTES, "event: layout");

static const char event_kind[] = "event";

static int make_event(fm_event **out, struct fmi_room room)
{
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = fmi_object_room(&bytes, room, FM_EVENT_BYTES);
    if (rc != 0)
        return rc;
    fm_event *event = bytes;
    fmi_event_init(&event->event);
    fmi_object_publish(&event->object, FMI_MARK_EVENT);
    *out = event;
    return 0;
}

int fm_event_create(fm_event **out)
{
    return make_event(out, (struct fmi_room){0});
}

int fm_event_init(fm_event **out, void *bytes, size_t n_bytes)
{
    return make_event(out, (struct fmi_room){bytes, n_bytes, 1});
}

void fm_event_destroy(fm_event *event)
{
    if (fmi_object_end(event, FMI_MARK_EVENT, FMI_OBJECT_IN_HEAP, event_kind))
        fmi_object_free(&event->object);
}

void fm_event_fini(fm_event *event)
{
    (void)fmi_object_end(event, FMI_MARK_EVENT, FMI_OBJECT_PLACED, event_kind);
}

int fm_event_set(fm_event *event)
{
    int rc = fmi_object_check(event, FMI_MARK_EVENT, event_kind);
    if (rc == 0)
        fmi_event_set(&event->event);
    return rc;
}

int fm_event_clear(fm_event *event)
{
    int rc = fmi_object_check(event, FMI_MARK_EVENT, event_kind);
    if (rc == 0)
        fmi_event_clear(&event->event);
    return rc;
}

int fm_event_is_set(const fm_event *event)
{
    int rc = fmi_object_check(event, FMI_MARK_EVENT, event_kind);
    return rc != 0 ? rc : fmi_event_is_set(&event->event);
}

int fm_event_wait(fm_event *event, int64_t timeout)
{
    int rc = fmi_object_check(event, FMI_MARK_EVENT, event_kind);
    return rc != 0 ? rc : fmi_event_wait(&event->event, fmi_deadline_of(timeout));
}
