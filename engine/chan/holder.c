/* SPDX-License-Identifier: MIT */
/* Whose a word is; see holder.h. */
#include "holder.h"

uint64_t fmi_holder_alive(uint64_t word)
{
    uint64_t index = word >> 22 & 0x3fff;
    struct fmi_mortal_shm *m = fmi_mortal_at((int)index);
    if (m == NULL)
        return 0;
    /* acquire: pairs with the thread's join; the id is judged as a whole by fmi_mortal_is_alive */
    uint64_t generation = atomic_load_explicit(&m->generation, memory_order_acquire);
    uint64_t id = generation << 32 | (index + 1) << 12;
    return (generation & FMI_HOLDER_GENERATIONS) == (word & FMI_HOLDER_GENERATIONS) &&
                   fmi_mortal_is_alive(id)
               ? id
               : 0;
}
