/* What a look-up in a large dict is going to read is asked of the memory ahead, for a whole batch of look-ups: while
 * one waits the others wait too, instead of one after the other. Among a hundred thousand answers that is a tenth of
 * what a question costs.
 *
 * This is the only file that knows how CPython lays out a dict: by CPython's own header, for the versions that it was
 * tried with; with others it does nothing. It decides nothing and changes nothing; what is found is found by
 * PyDict_GetItemWithError. Nothing is kept from one step to the next, so Python code may run in between.
 */
#define Py_BUILD_CORE /* for CPython's own header, which is not as clean as this code has to be */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <Python.h>

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030E0000 && !defined(Py_GIL_DISABLED)
#include <internal/pycore_dict.h>
#define KNOWN_LAYOUT
#endif
#pragma GCC diagnostic pop

#include "native.h"

#ifdef KNOWN_LAYOUT

/* Return the number of the entry that stands at *slot* of the index; negative: none. The width of an index's items
 * follows from its size, as in CPython's dictkeys_get_index. */
static Py_ssize_t entry_at(const PyDictKeysObject *keys, size_t slot) {
    const void *index = keys->dk_indices;
    if (keys->dk_log2_size < 8) {
        return ((const int8_t *)index)[slot];
    }
    if (keys->dk_log2_size < 16) {
        return ((const int16_t *)index)[slot];
    }
    return keys->dk_log2_size < 32 ? ((const int32_t *)index)[slot] : -1;
}

void ahead(PyObject *dict, Py_hash_t hash, enum ahead step) {
    PyDictKeysObject *keys = ((PyDictObject *)dict)->ma_keys;
    size_t slot = (size_t)hash & (((size_t)1 << keys->dk_log2_size) - 1); /* where CPython looks first */
    if (step == AHEAD_SLOT) {
        __builtin_prefetch(keys->dk_indices + (slot << (keys->dk_log2_index_bytes - keys->dk_log2_size)));
        return;
    }
    Py_ssize_t number = entry_at(keys, slot);
    if (number < 0 || keys->dk_kind != DICT_KEYS_GENERAL) {
        return;
    }
    const PyDictKeyEntry *entry = &DK_ENTRIES(keys)[number];
    if (step == AHEAD_ENTRY) {
        __builtin_prefetch(entry);
    } else if (entry->me_hash == hash) {
        __builtin_prefetch(entry->me_key);
        __builtin_prefetch((const char *)entry->me_key + LINE);
        __builtin_prefetch(entry->me_value);
    }
}

#else

void ahead(PyObject *dict, Py_hash_t hash, enum ahead step) { (void)dict, (void)hash, (void)step; }

#endif
