/* Makes the library, its owner, the data queue and the programs.      */
/* Run the commands one by one, with *ALLOBJ and *SECADM. MUSTER is    */
/* the library, MUSTEROWN owns everything in it, MUSTERAGT is the user */
/* profile that the agent signs on with.                               */

/* An owner that nobody can sign on with and that has no authority of  */
/* its own. The programs run with its authority, so that users need    */
/* none to the queue and cannot write to it by themselves.             */
CRTUSRPRF  USRPRF(MUSTEROWN) PASSWORD(*NONE) USRCLS(*USER) SPCAUT(*NONE) +
             INLPGM(*NONE) INLMNU(*SIGNOFF) LMTCPB(*YES) +
             TEXT('Owner of the exit programs of Muster')
CRTLIB     LIB(MUSTER) TYPE(*PROD) AUT(*USE) CRTAUT(*EXCLUDE) +
             TEXT('Exit programs of Muster')
CHGOBJOWN  OBJ(QSYS/MUSTER) OBJTYPE(*LIB) NEWOWN(MUSTEROWN)

/* Each entry takes MAXLEN bytes while it waits: 2 GB hold some        */
/* 130,000 requests. When the queue is full requests are not recorded. */
CRTDTAQ    DTAQ(MUSTER/EXITQ) MAXLEN(16384) SEQ(*FIFO) SENDERID(*YES) +
             SIZE(*MAX2GB) AUTORCL(*YES) AUT(*EXCLUDE) +
             TEXT('Requests seen at exit points')
CHGOBJOWN  OBJ(MUSTER/EXITQ) OBJTYPE(*DTAQ) NEWOWN(MUSTEROWN)

/* The agent takes entries out and nothing else.                       */
GRTOBJAUT  OBJ(MUSTER/EXITQ) OBJTYPE(*DTAQ) USER(MUSTERAGT) +
             AUT(*OBJOPR *READ)

/* Sources: put the files *.clle into a folder of the partition first. */
CRTSRCPF   FILE(MUSTER/QCLSRC) RCDLEN(92) AUT(*EXCLUDE)
CPYFRMSTMF FROMSTMF('/tmp/muster/musterx.clle') +
             TOMBR('/QSYS.LIB/MUSTER.LIB/QCLSRC.FILE/MUSTERX.MBR') +
             MBROPT(*REPLACE)
/* ... and likewise MUSTERXA, B, C, D, H, I, L, N, P, T and V.         */

/* The core may be called by the entry programs only.                  */
CRTBNDCL   PGM(MUSTER/MUSTERX) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*EXCLUDE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERX) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)

/* The entry programs are called in the jobs of all users.             */
CRTBNDCL   PGM(MUSTER/MUSTERXH) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXH) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXV) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXV) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXL) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXL) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXI) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXI) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXT) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXT) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXD) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXD) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXP) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXP) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)

/* Only where they are wanted: sockets and opens of database files.    */
CRTBNDCL   PGM(MUSTER/MUSTERXA) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXA) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXC) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXC) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXN) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXN) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
CRTBNDCL   PGM(MUSTER/MUSTERXB) SRCFILE(MUSTER/QCLSRC) USRPRF(*OWNER) +
             AUT(*USE) LOG(*NO)
CHGOBJOWN  OBJ(MUSTER/MUSTERXB) OBJTYPE(*PGM) NEWOWN(MUSTEROWN)
