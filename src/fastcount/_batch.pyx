"""A drained generation as Python sees it; native/batch.pxd has its columns."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from fastcount.native.batch cimport batch_free
from fastcount.native.hll cimport hll_item_rank, hll_item_register
from fastcount.native.reservoir cimport reservoir_event_t, reservoir_get, reservoir_seen


cdef class Batch:
    @property
    def generation(self):
        return self.batch.generation

    def __len__(self):
        return self.batch.count

    def __iter__(self):
        cdef uint64_t i, at = 0
        cdef uint32_t n
        for i in range(self.batch.count):
            n = self.batch.id_lengths[i]
            yield (self.types[self.batch.types[i]], self.batch.ids[at:at + n].decode("utf-8"), self.batch.deltas[i])
            at += n

    def sketches(self):
        cdef uint64_t i, j, at = 0, item = 0, row = 0, end, priority
        cdef uint32_t n
        for i in range(self.batch.count):
            n = self.batch.id_lengths[i]
            if self.batch.item_counts[i] or self.batch.member_sizes[i]:
                registers = {}
                for j in range(item, item + self.batch.item_counts[i]):
                    register = hll_item_register(self.batch.items[j])
                    registers[register] = max(registers.get(register, 0), hll_item_rank(self.batch.items[j]))
                members = []
                end = row + self.batch.member_sizes[i]
                j = row
                while j < end:
                    memcpy(&priority, self.batch.members + j, sizeof(priority))  # rows are not aligned
                    members.append((priority, self.batch.members[j + 9:j + 9 + self.batch.members[j + 8]]))
                    j += 9 + self.batch.members[j + 8]
                yield (self.types[self.batch.types[i]], self.batch.ids[at:at + n].decode("utf-8"), registers, members)
            at += n
            item += self.batch.item_counts[i]
            row += self.batch.member_sizes[i]

    def events(self):
        cdef uint64_t i, j
        cdef reservoir_event_t event
        for i in range(self.batch.event_types):
            rows = []
            for j in range(self.batch.events[i].n):
                reservoir_get(&self.batch.events[i], j, &event)
                rows.append((PyBytes_FromStringAndSize(<const char *>event.id, event.id_length).decode("utf-8"),
                             PyBytes_FromStringAndSize(<const char *>event.member, event.member_length),
                             event.time))
            if rows:
                yield self.types[i], reservoir_seen(&self.batch.events[i]), rows

    def __dealloc__(self):
        batch_free(&self.batch)
