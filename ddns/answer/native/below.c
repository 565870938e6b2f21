/* Names that have no entry of their own. Every name here is handed to Python. */
#include "native.h"

int below_attach(struct below *below, PyObject *table) {
    below->table = Py_NewRef(table);
    return 0;
}

int below_visit(struct below *below, visitproc visit, void *arg) {
    Py_VISIT(below->table);
    return 0;
}

void below_clear(struct below *below) { Py_CLEAR(below->table); }

Py_ssize_t below_answer(struct below *below, const struct question *question, uint8_t *out) {
    (void)below;
    (void)question;
    (void)out;
    return 0;
}
