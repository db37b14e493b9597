/* Three tasks as OpenOCD looks for them with `-rtos FreeRTOS`: names, places and sizes of what its FreeRTOS.c (0.12) reads.
 *
 * Nothing is scheduled: the demo firmware, to which this is linked, executes as the task in the middle, "worker". The others
 * look as if they had been switched away from in `blink`.
 */
#include <stdint.h>

struct item {
    uint32_t value;
    struct item *next, *before;
    void *task;
    void *list;
};

struct list {
    uint32_t count;
    struct item *cursor;
    struct { uint32_t value; struct item *next, *before; } end;
};

struct task {
    uint32_t *stack;
    struct item item;
    uint32_t unused[7];
    char name[200]; /* as much as OpenOCD reads */
};
_Static_assert(__builtin_offsetof(struct task, name) == 52, "where OpenOCD looks for the name");

void blink(uint32_t step);
int main(void);

/* r4-r11, r0-r3, r12, lr, pc, xPSR: what a Cortex-M leaves on the stack of a task that does not execute. */
#define AWAY(mark) { mark, mark, mark, mark, mark, mark, mark, mark, 0, 0, 0, 0, 0, (uint32_t)main, (uint32_t)blink, 0x01000000 }
static uint32_t logger_stack[32] = AWAY(0x11), worker_stack[32] = AWAY(0x22), idler_stack[32] = AWAY(0x33);

#define END(list) ((struct item *)&(list).end)
#define TASK(name, within) { name##_stack, { 0, END(within), END(within), &name, &(within) }, { 0 }, #name }
#define ONE(list, task) { 1, END(list), { ~0u, &task.item, &task.item } }
#define NONE(list) { 0, END(list), { ~0u, END(list), END(list) } }

extern struct task logger, worker, idler;
struct list pxReadyTasksLists[3], xDelayedTaskList1, xDelayedTaskList2, xPendingReadyList, xSuspendedTaskList, xTasksWaitingTermination;
struct list pxReadyTasksLists[3] = {
    ONE(pxReadyTasksLists[0], idler), ONE(pxReadyTasksLists[1], worker), NONE(pxReadyTasksLists[2]),
};
struct list xDelayedTaskList1 = ONE(xDelayedTaskList1, logger), xDelayedTaskList2 = NONE(xDelayedTaskList2);
struct list xPendingReadyList = NONE(xPendingReadyList), xSuspendedTaskList = NONE(xSuspendedTaskList);
struct list xTasksWaitingTermination = NONE(xTasksWaitingTermination);
struct task logger = TASK(logger, xDelayedTaskList1), worker = TASK(worker, pxReadyTasksLists[1]),
            idler = TASK(idler, pxReadyTasksLists[0]);
struct list *pxDelayedTaskList = &xDelayedTaskList1, *pxOverflowDelayedTaskList = &xDelayedTaskList2;
struct task *pxCurrentTCB = &worker;
uint32_t uxCurrentNumberOfTasks = 3, uxTopUsedPriority = 2, xSchedulerRunning = 1;
