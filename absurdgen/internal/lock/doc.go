// Package lock is the shape lock: a sorted text file, committed beside the code, of what each workflow does durably and
// what its payloads look like.
//
//	workflow orders.fulfil orders in=orders.Order out=[]orders.Bin queue=orders
//		step orders.charge
//		if
//			await order.approved
//		map orders.pack
//
// Moving code between files changes nothing in it. Compare says what a change of it means for tasks that are running:
// safe, worth a look, or breaking.
package lock
