"""The native UDP worker as Python sees it; native/udp.pxd has its theory."""

import os

from fastcount._core cimport Store
from fastcount.native.atomic cimport fc_peek
from fastcount.native.udp cimport udp_free, udp_init, udp_run, udp_stop, udp_t


cdef class UdpReceiver:
    cdef udp_t udp
    cdef Store owner
    cdef bint ready

    def __init__(self, Store store not None, int fileno):
        cdef int error
        if self.ready:
            raise RuntimeError("a UdpReceiver is initialised once")
        error = udp_init(&self.udp, fileno)
        if error:
            raise OSError(error, os.strerror(error))
        self.udp.intake.store = &store.store
        self.udp.intake.ledger = &store.ledger
        self.udp.intake.tally = &store.tally
        self.udp.intake.keys = &store.keys
        self.owner = store
        self.ready = True

    def __dealloc__(self):
        if self.ready:
            udp_free(&self.udp)

    def run(self):
        cdef int error
        with nogil:
            error = udp_run(&self.udp)
        if error:
            raise OSError(error, os.strerror(error))

    def stop(self):
        udp_stop(&self.udp)

    def stats(self):
        return {"datagrams": fc_peek(&self.udp.datagrams), "frames": fc_peek(&self.udp.frames),
                "bytes": fc_peek(&self.udp.bytes), "batches": fc_peek(&self.udp.batches),
                "kernel_drops": fc_peek(&self.udp.kernel_drops), "truncated": fc_peek(&self.udp.truncated),
                "errors": fc_peek(&self.udp.errors)}
