/* Removes everything that install.cl made, after unregister.cl and    */
/* after the servers were started anew. What waits on the queue is     */
/* lost: let the agent empty it first.                                 */
DLTDTAQ    DTAQ(MUSTER/EXITQ)
DLTLIB     LIB(MUSTER)
DLTUSRPRF  USRPRF(MUSTEROWN) OWNOBJOPT(*NODLT)
