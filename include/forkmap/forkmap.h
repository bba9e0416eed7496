/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_FORKMAP_H
#define FORKMAP_FORKMAP_H

/** @file forkmap.h  The whole of the public API. */

#include <forkmap/array.h>
#include <forkmap/conn.h>
#include <forkmap/dict.h>
#include <forkmap/function.h>
#include <forkmap/list.h>
#include <forkmap/listener.h>
#include <forkmap/log.h>
#include <forkmap/machine.h>
#include <forkmap/manager.h>
#include <forkmap/map.h>
#include <forkmap/namespace.h>
#include <forkmap/pool.h>
#include <forkmap/process.h>
#include <forkmap/queue.h>
#include <forkmap/random.h>
#include <forkmap/reduce.h>
#include <forkmap/result.h>
#include <forkmap/shlist.h>
#include <forkmap/shm.h>
#include <forkmap/snapshot.h>
#include <forkmap/status.h>
#include <forkmap/stream.h>
#include <forkmap/sync.h>
#include <forkmap/value.h>

#define FM_VERSION "0.2.0" /**< of these headers */

#endif
