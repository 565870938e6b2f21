/* Cookies and response rate limiting: the first stage here, whatever is over a limit by Rrl.judge. */
#include "native.h"

int guard_attach(struct guard *guard, PyObject *rrl) {
    guard->cells = dict_attribute(rrl, "cells");
    guard->enter = guard->cells == NULL ? NULL : PyObject_GetAttrString(rrl, "enter");
    guard->judge = guard->enter == NULL ? NULL : PyObject_GetAttrString(rrl, "judge");
    return guard->judge == NULL ? -1 : 0;
}

int guard_visit(struct guard *guard, visitproc visit, void *arg) {
    Py_VISIT(guard->cells);
    Py_VISIT(guard->enter);
    Py_VISIT(guard->judge);
    return 0;
}

void guard_clear(struct guard *guard) {
    Py_CLEAR(guard->cells);
    Py_CLEAR(guard->enter);
    Py_CLEAR(guard->judge);
}

int guard_opt(struct guard *guard, struct question *question, PyObject *tails) {
    (void)guard;
    (void)question;
    (void)tails;
    return 0;
}

/* Take one answer from the cell of *host*. Return 1: it may go; 0: the cell is below zero; -1: exception. */
static int take(struct guard *guard, PyObject *host) {
    PyObject *cell = PyDict_GetItemWithError(guard->cells, host);
    if (cell == NULL && PyErr_Occurred()) {
        return -1;
    }
    if (cell == NULL) {
        cell = PyObject_CallOneArg(guard->enter, host);
    } else {
        Py_INCREF(cell);
    }
    if (cell == NULL) {
        return -1;
    }
    if (!PyList_CheckExact(cell) || PyList_GET_SIZE(cell) != 1) {
        Py_DECREF(cell);
        PyErr_SetString(PyExc_TypeError, "a cell is a list of one number");
        return -1;
    }
    long long left = PyLong_AsLongLong(PyList_GET_ITEM(cell, 0));
    if (left == -1 && PyErr_Occurred()) {
        Py_DECREF(cell);
        return -1;
    }
    PyObject *less = PyLong_FromLongLong(left - 1);
    int failed = less == NULL ? -1 : PyList_SetItem(cell, 0, less); /* which takes the reference */
    Py_DECREF(cell);
    return failed ? -1 : left > 0;
}

Py_ssize_t guard_sending(struct guard *guard, struct question *question, uint8_t *out, Py_ssize_t size, double now) {
    PyObject *host = question_host(question);
    if (host == NULL) {
        return -1;
    }
    int may = take(guard, host);
    if (may) {
        return may < 0 ? -1 : size;
    }
    PyObject *judged = PyObject_CallFunction(guard->judge, "y#y#Od", (const char *)question->wire,
                                             (Py_ssize_t)question->size, (const char *)out, size, host, now);
    if (judged == NULL) {
        return -1;
    }
    Py_ssize_t sending = 0;
    if (PyBytes_CheckExact(judged) && PyBytes_GET_SIZE(judged) <= ANSWER_MAX) {
        sending = PyBytes_GET_SIZE(judged);
        memcpy(out, PyBytes_AS_STRING(judged), (size_t)sending);
    }
    Py_DECREF(judged);
    return sending;
}
