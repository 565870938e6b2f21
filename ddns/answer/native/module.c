/* The module ddns.answer._native: its one type, and nothing else. */
#include "native.h"

PyObject *dict_attribute(PyObject *object, const char *name) {
    PyObject *found = PyObject_GetAttrString(object, name);
    if (found != NULL && !PyDict_CheckExact(found)) {
        PyErr_Format(PyExc_TypeError, "%s is not a dict", name);
        Py_CLEAR(found);
    }
    return found;
}

static int answerer_clear(PyObject *object) {
    Answerer *self = (Answerer *)object;
    Py_CLEAR(self->tails);
    Py_CLEAR(self->bare);
    below_clear(&self->below);
    guard_clear(&self->guard);
    return 0;
}

static int answerer_traverse(PyObject *object, visitproc visit, void *arg) {
    Answerer *self = (Answerer *)object;
    Py_VISIT(Py_TYPE(object));
    Py_VISIT(self->tails);
    Py_VISIT(self->bare);
    int failed = below_visit(&self->below, visit, arg);
    return failed ? failed : guard_visit(&self->guard, visit, arg);
}

static void answerer_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    PyObject_GC_UnTrack(object);
    answerer_clear(object);
    batch_free(((Answerer *)object)->batch);
    stream_free(((Answerer *)object)->stream);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *answerer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
    static char *names[] = {"table", "rrl", NULL};
    PyObject *table, *rrl;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Answerer", names, &table, &rrl)) {
        return NULL;
    }
    Answerer *self = (Answerer *)type->tp_alloc(type, 0); /* zeroed */
    if (self == NULL) {
        return NULL;
    }
    self->batch = batch_new();
    self->stream = stream_new();
    if (self->batch == NULL || self->stream == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->tails = dict_attribute(table, "_tails");
    self->bare = self->tails == NULL ? NULL : dict_attribute(table, "_bare");
    if (self->bare == NULL || below_attach(&self->below, table) < 0 || guard_attach(&self->guard, rrl) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *answerer_lookup(PyObject *object, PyObject *datagram) {
    if (!PyBytes_CheckExact(datagram)) {
        PyErr_SetString(PyExc_TypeError, "a datagram is bytes");
        return NULL;
    }
    uint8_t out[ANSWER_MAX];
    Py_ssize_t size = answer_question((Answerer *)object, (const uint8_t *)PyBytes_AS_STRING(datagram),
                                      (size_t)PyBytes_GET_SIZE(datagram), out);
    if (size > 0) {
        return PyBytes_FromStringAndSize((const char *)out, size);
    }
    return size < 0 ? NULL : Py_NewRef(Py_None);
}

static PyObject *answerer_drain(PyObject *object, PyObject *args) {
    int fd, wildcard;
    Py_ssize_t most;
    double now;
    if (!PyArg_ParseTuple(args, "ipnd:drain", &fd, &wildcard, &most, &now)) {
        return NULL;
    }
    return drain((Answerer *)object, fd, wildcard != 0, most, now);
}

static PyObject *answerer_frames(PyObject *object, PyObject *args) {
    PyObject *octets;
    Py_ssize_t at;
    if (!PyArg_ParseTuple(args, "Sn:frames", &octets, &at)) {
        return NULL;
    }
    return stream_frames((Answerer *)object, octets, at);
}

static PyObject *answerer_exchange(PyObject *object, PyObject *descriptor) {
    int fd = PyObject_AsFileDescriptor(descriptor);
    return fd < 0 ? NULL : stream_exchange((Answerer *)object, fd);
}

static PyMethodDef answerer_methods[] = {
    {"lookup", answerer_lookup, METH_O,
     "lookup($self, datagram, /)\n--\n\nReturn the answer to *datagram*, or None: Python has to find it."},
    {"drain", answerer_drain, METH_VARARGS,
     "drain($self, fd, wildcard, most, now, /)\n--\n\nRead *most* datagrams, answer those that are known."},
    {"send", send_many, METH_VARARGS,
     "send($self, fd, parcels, /)\n--\n\nSend many answers: each is (octets, peer, ancillary data or None)."},
    {"frames", answerer_frames, METH_VARARGS,
     "frames($self, octets, at, /)\n--\n\nAnswer the messages of a stream that are known."},
    {"exchange", answerer_exchange, METH_O,
     "exchange($self, fd, /)\n--\n\nRead a TCP socket once, answer what is known, and send."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot answerer_slots[] = {
    {Py_tp_doc, (void *)"Answerer(table, rrl)\n--\n\nThe native twin of `ddns.answer.hot.PureAnswerer`."},
    {Py_tp_new, (void *)answerer_new},
    {Py_tp_dealloc, (void *)answerer_dealloc},
    {Py_tp_traverse, (void *)answerer_traverse},
    {Py_tp_clear, (void *)answerer_clear},
    {Py_tp_methods, (void *)answerer_methods},
    {0, NULL},
};

static PyType_Spec answerer_spec = {
    .name = "ddns.answer._native.Answerer",
    .basicsize = sizeof(Answerer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = answerer_slots,
};

static int module_exec(PyObject *module) {
    PyObject *type = PyType_FromModuleAndSpec(module, &answerer_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef module_methods[] = {
    {"siphash24", guard_siphash24, METH_VARARGS,
     "siphash24($module, key, message, /)\n--\n\nReturn SipHash-2-4 of *message* under the 16 octets of *key*."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ddns.answer._native",
    .m_doc = "The native twin of the hot path: see ddns/answer/native/native.h.",
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module); }
