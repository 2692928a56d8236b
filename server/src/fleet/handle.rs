//! The way to talk to the fleet.

use rides_proto::{geo::LatLng, ids::CarId};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    Brief, CarLink, CarView, Closed, FleetOptions, FreeCar, LinkId, Report,
    task::{self, Input},
};
use crate::{positions::FleetTick, rides::model::Crew};

/// How many inputs may wait for the fleet's task before those who bring more must wait too.
const INBOX: usize = 1024;

/// The handle of the fleet. Cheap to clone; the fleet's task ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Fleet {
    inputs: mpsc::Sender<Input>,
}

impl Fleet {
    /// Starts the fleet's task. It sends what changed to `ticks` (while that is full, changes add up to one
    /// bigger tick), and to `gone` every car that had signed on and left the map.
    pub fn spawn(
        options: FleetOptions,
        ticks: mpsc::Sender<FleetTick>,
        gone: mpsc::Sender<CarId>,
    ) -> (Self, JoinHandle<()>) {
        let (inputs, inbox) = mpsc::channel(INBOX);
        (Self { inputs }, tokio::spawn(task::run(options, inbox, ticks, gone)))
    }

    /// Connects a car; the newest connection is the car, and an older one gets [`Order::Superseded`](super::Order::Superseded). A car
    /// that comes back before it was given up keeps its number, its state and its meter.
    pub async fn sign_on(&self, crew: Crew, at: Option<LatLng>) -> Result<CarLink, Closed> {
        self.ask(|reply| Input::SignOn { crew, at, reply }).await
    }

    /// The explicit end of a working day: the car leaves the map now. Does nothing when `link` was replaced.
    pub async fn sign_off(&self, car: CarId, link: LinkId) -> Result<(), Closed> {
        self.tell(Input::SignOff { car, link }).await
    }

    /// The connection broke: the car stays for the grace time. Does nothing when `link` was replaced.
    pub async fn link_lost(&self, car: CarId, link: LinkId) -> Result<(), Closed> {
        self.tell(Input::LinkLost { car, link }).await
    }

    /// Positions of any cars, applied in their order. A car that nobody knew appears off duty.
    pub async fn report(&self, reports: Vec<Report>) -> Result<(), Closed> {
        self.tell(Input::Report(reports)).await
    }

    /// Break, or back to work. Does nothing when `link` was replaced.
    pub async fn set_duty(&self, car: CarId, link: LinkId, on_duty: bool) -> Result<(), Closed> {
        self.tell(Input::SetDuty { car, link, on_duty }).await
    }

    /// Says what became of a ride that is, or was, this car's. False: there is an order that the driver did
    /// not get, for the car is not connected, or did not take its orders and is cut now.
    pub async fn brief(&self, car: CarId, brief: Brief) -> Result<bool, Closed> {
        let brief = Box::new(brief);
        self.ask(|reply| Input::Brief { car, brief, reply }).await
    }

    /// Up to `limit` cars that can take a ride now, as the crow flies, nearest first.
    pub async fn nearest_free(&self, at: LatLng, limit: usize) -> Result<Vec<FreeCar>, Closed> {
        self.ask(|reply| Input::NearestFree { at, limit, reply }).await
    }

    /// One car as it is now; `None`: not on the map.
    pub async fn car(&self, car: CarId) -> Result<Option<CarView>, Closed> {
        self.ask(|reply| Input::Car { car, reply }).await
    }

    async fn tell(&self, input: Input) -> Result<(), Closed> {
        self.inputs.send(input).await.map_err(|_| Closed)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, Closed> {
        let (reply, answer) = oneshot::channel();
        self.tell(question(reply)).await?;
        answer.await.map_err(|_| Closed)
    }
}
