/* Registers the exit programs. Run the commands one by one, with      */
/* *ALLOBJ and *SECADM, in a quiet hour, and try each server after its  */
/* command. An exit point that holds another program already, or holds */
/* one only, refuses: leave it as it is.                                */
/* What is registered: WRKREGINF, or                                   */
/*   select * from QSYS2.EXIT_PROGRAM_INFO                              */

ADDEXITPGM EXITPNT(QIBM_QTMF_CLIENT_REQ) FORMAT(VLRQ0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXV) +
             TEXT('Muster: FTP client')
ADDEXITPGM EXITPNT(QIBM_QTMF_SERVER_REQ) FORMAT(VLRQ0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXV) +
             TEXT('Muster: FTP server')
ADDEXITPGM EXITPNT(QIBM_QTMX_SERVER_REQ) FORMAT(VLRQ0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXV) +
             TEXT('Muster: REXEC server')
ADDEXITPGM EXITPNT(QIBM_QTOD_SERVER_REQ) FORMAT(VLRQ0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXV) +
             TEXT('Muster: TFTP server')
ADDEXITPGM EXITPNT(QIBM_QTMF_SVR_LOGON) FORMAT(TCPL0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXL) +
             TEXT('Muster: FTP logon')
ADDEXITPGM EXITPNT(QIBM_QTMX_SVR_LOGON) FORMAT(TCPL0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXL) +
             TEXT('Muster: REXEC logon')
ADDEXITPGM EXITPNT(QIBM_QTG_DEVTERM) FORMAT(TERM0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXT) +
             TEXT('Muster: Telnet session')
ADDEXITPGM EXITPNT(QIBM_QZSO_SIGNONSRV) FORMAT(ZSOY0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: sign-on server')
ADDEXITPGM EXITPNT(QIBM_QZDA_INIT) FORMAT(ZDAI0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: database server')
ADDEXITPGM EXITPNT(QIBM_QZDA_SQL2) FORMAT(ZDAQ0200) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: SQL of the database server')
ADDEXITPGM EXITPNT(QIBM_QZDA_NDB1) FORMAT(ZDAD0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: files of the database server')
ADDEXITPGM EXITPNT(QIBM_QZDA_NDB1) FORMAT(ZDAD0200) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: library list of the database server')
ADDEXITPGM EXITPNT(QIBM_QZDA_ROI1) FORMAT(ZDAR0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: object information of the database server')
ADDEXITPGM EXITPNT(QIBM_QZDA_ROI1) FORMAT(ZDAR0200) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: key information of the database server')
ADDEXITPGM EXITPNT(QIBM_QZRC_RMT) FORMAT(CZRC0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: remote command and program call server')
ADDEXITPGM EXITPNT(QIBM_QZHQ_DATA_QUEUE) FORMAT(ZHQ00100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: data queue server')
ADDEXITPGM EXITPNT(QIBM_QPWFS_FILE_SERV) FORMAT(PWFS0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: file server and NetServer')
ADDEXITPGM EXITPNT(QIBM_QZSC_LM) FORMAT(ZSCL0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: licences of the central server')
ADDEXITPGM EXITPNT(QIBM_QZSC_SM) FORMAT(ZSCS0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: clients of the central server')
ADDEXITPGM EXITPNT(QIBM_QZSC_NLS) FORMAT(ZSCN0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: conversion maps of the central server')
ADDEXITPGM EXITPNT(QIBM_QNPS_ENTRY) FORMAT(ENTR0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXH) +
             TEXT('Muster: network print server')
ADDEXITPGM EXITPNT(QIBM_QNPS_SPLF) FORMAT(SPLF0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXP) +
             TEXT('Muster: spooled files of the network print server')

/* DDM and DRDA. Only if DSPNETA shows DDMACC(*OBJAUT): any other value */
/* is a decision of the site that this command would undo.             */
CHGNETA    DDMACC(MUSTER/MUSTERXD)

/* With care, see docs/sources/exit-points.md: what the Telnet server  */
/* does about automatic sign-on when a program is registered, and the  */
/* load that the others bring.                                         */
ADDEXITPGM EXITPNT(QIBM_QTG_DEVINIT) FORMAT(INIT0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXI) +
             TEXT('Muster: Telnet session')
ADDEXITPGM EXITPNT(QIBM_QSO_ACCEPT) FORMAT(ACPT0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXA) +
             TEXT('Muster: incoming connections')
ADDEXITPGM EXITPNT(QIBM_QSO_CONNECT) FORMAT(CONN0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXC) +
             TEXT('Muster: outgoing connections')
ADDEXITPGM EXITPNT(QIBM_QSO_LISTEN) FORMAT(LSTN0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXN) +
             TEXT('Muster: programs that listen for connections')
ADDEXITPGM EXITPNT(QIBM_QDB_OPEN) FORMAT(DBOP0100) PGMNBR(4320) +
             PGM(MUSTER/MUSTERXB) +
             TEXT('Muster: opens of database files')

/* Servers take up a program when they start. This ends sessions.      */
ENDTCPSVR  SERVER(*FTP *REXEC *TFTP *TELNET)
STRTCPSVR  SERVER(*FTP *REXEC *TFTP *TELNET)
ENDHOSTSVR SERVER(*ALL) ENDACTCNN(*ALL)
STRHOSTSVR SERVER(*ALL)
/* The file server takes it up with its subsystem.                     */
ENDSBS     SBS(QSERVER) OPTION(*IMMED)
STRSBS     SBSD(QSYS/QSERVER)
