// Package jobs runs named jobs on their schedules, on gocron. It knows no domain: what a job does is a function, and what is remembered
// of its runs lies with a Keeper that the appliance hands in.
//
// A schedule is a row of ticks: the moments at which a job is wanted. A job is due when its newest tick lies behind the last one that was
// claimed; how many were missed meanwhile (the machine was off) makes no difference, they are made up by one run. Every run claims its tick
// in the Keeper before it begins, so that whoever looks, however often, each tick is run once. gocron's Locker does not give that: a quick job
// has unlocked again before the next one tries. gocron's timers say when to look; because timers stand still while a machine sleeps, and
// wall clocks are set, every job is also looked at each minute.
package jobs
