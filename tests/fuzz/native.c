/* The libFuzzer target of a native module: its own objects are linked in, and the Python module TARGET feeds them.
 * tests/fuzz/native.py builds and runs it. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

PyMODINIT_FUNC PyInit__native(void);
int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

static PyObject *once;

static void stop(void) {
    PyErr_Print();
    abort();
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    if (PyImport_AppendInittab("_native", PyInit__native) < 0) {
        abort();
    }
    Py_InitializeEx(0);
    PyObject *target = PyImport_ImportModule(TARGET);
    once = target == NULL ? NULL : PyObject_GetAttrString(target, "once");
    if (once == NULL) {
        stop();
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size) {
    PyObject *done = PyObject_CallFunction(once, "y#", (const char *)octets, (Py_ssize_t)size);
    if (done == NULL) {
        stop();
    }
    Py_DECREF(done);
    return 0;
}
