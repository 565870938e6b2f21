/* The module ddns.dns._native: a table of functions, and nothing else. */
#include "native.h"

static PyMethodDef methods[] = {
    {"read_name", (PyCFunction)(void (*)(void))native_read_name, METH_FASTCALL,
     "read_name($module, wire, offset, /)\n--\n\nTwin of `ddns.dns.names.read`."},
    {"order_key", native_order_key, METH_O, "order_key($module, name, /)\n--\n\nTwin of `ddns.dns.names.order_key`."},
    {"walk", (PyCFunction)(void (*)(void))native_walk, METH_FASTCALL,
     "walk($module, message, offset, count, /)\n--\n\nTwin of `ddns.zone.request`'s walk."},
    {"find_trailer", native_find_trailer, METH_O,
     "find_trailer($module, wire, /)\n--\n\nTwin of `ddns.auth.trailer.find`."},
    {"open_signed", (PyCFunction)(void (*)(void))native_open_signed, METH_FASTCALL,
     "open_signed($module, wire, tsig, algorithms, sig0, /)\n--\n\nTwin of `ddns.auth.envelope.open_signed`."},
    {"read_update", (PyCFunction)(void (*)(void))native_read_update, METH_FASTCALL,
     "read_update($module, message, operation, records, ttl, /)\n--\n\nTwin of `ddns.zone.request.parse`."},
    {"stored", (PyCFunction)(void (*)(void))native_stored, METH_FASTCALL,
     "stored($module, rrset, name, node, others, /)\n--\n\nTwin of `ddns.answer.served.stored`."},
    {"published", (PyCFunction)(void (*)(void))native_published, METH_FASTCALL,
     "published($module, rrset, name, node, rdtype, /)\n--\n\nTwin of `ddns.answer.served.published`."},
    {"serve", (PyCFunction)(void (*)(void))native_serve, METH_FASTCALL,
     "serve($module, rdtype, ttl, records, sigs, /)\n--\n\nTwin of `ddns.answer.served.serve`."},
    {"tsig_signed", (PyCFunction)(void (*)(void))native_tsig_signed, METH_FASTCALL,
     "tsig_signed($module, prefix, wire, name, algorithm, time, fudge, error, other, /)\n--\n\n"
     "Twin of what `ddns.auth.tsig` signs."},
    {"tsig_put", (PyCFunction)(void (*)(void))native_tsig_put, METH_FASTCALL,
     "tsig_put($module, mac, wire, name, algorithm, time, fudge, error, other, /)\n--\n\n"
     "Twin of how `ddns.auth.tsig` appends its record."},
    {"apply", (PyCFunction)(void (*)(void))native_apply, METH_FASTCALL,
     "apply($module, operations, before, origin, rrset, change, types, records, octets, /)\n--\n\n"
     "Twin of `ddns.zone.update.apply`."},
    {"placed", (PyCFunction)(void (*)(void))native_placed, METH_FASTCALL,
     "placed($module, served, node, rrset, /)\n--\n\nTwin of `ddns.answer.served.placed`."},
    {"move_on", (PyCFunction)(void (*)(void))native_move_on, METH_FASTCALL,
     "move_on($module, now, changed, changes, change, /)\n--\n\nTwin of `ddns.zone.view.View.apply`."},
    {"plain_step", (PyCFunction)(void (*)(void))native_plain_step, METH_FASTCALL,
     "plain_step($module, changes, before, now, origin, serial, moving, moving_at_apex, rrset, /)\n--\n\n"
     "Twin of `ddns.zone.plain.step`."},
    {"signed_rrsets", (PyCFunction)(void (*)(void))native_signed_rrsets, METH_FASTCALL,
     "signed_rrsets($module, rrset, rrsets, sigs, /)\n--\n\nTwin of what `ddns.zone.plain.complete` puts together."},
    {"replaced", (PyCFunction)(void (*)(void))native_replaced, METH_FASTCALL,
     "replaced($module, rrset, nodes, added, /)\n--\n\nTwin of `ddns.answer.served.replaced`."},
    {"replace", (PyCFunction)(void (*)(void))native_replace, METH_FASTCALL,
     "replace($module, served, nodes, removed, added, others, /)\n--\n\nTwin of `ddns.answer.image.ZoneImage.patch`."},
    {"asked", (PyCFunction)(void (*)(void))native_asked, METH_FASTCALL,
     "asked($module, places, bare, plain, signed, reached, /)\n--\n\nTwin of what `ddns.answer.table.Table.patch` forgets."},
    {"pack_parameters", (PyCFunction)(void (*)(void))native_pack_parameters, METH_FASTCALL,
     "pack_parameters($module, parameters, elements, /)\n--\n\nTwin of `ddns.store.packing.packed`."},
    {"unpack_rows", (PyCFunction)(void (*)(void))native_unpack_rows, METH_FASTCALL,
     "unpack_rows($module, kinds, cells, rrset, /)\n--\n\nTwin of `ddns.store.unpacking.unpacked`."},
    {NULL, NULL, 0, NULL},
};

static int prepare(PyObject *module) {
    (void)module;
    bool ready = served_prepare() == 0 && apply_prepare() == 0 && rows_prepare() == 0;
    return ready && step_prepare() == 0 && edition_prepare() == 0 ? 0 : -1;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)prepare}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ddns.dns._native",
    .m_doc = "The native twin of what reads and writes the octets of updates: see ddns/dns/native/native.h.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
